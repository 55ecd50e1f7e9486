import type { Catalog } from "../catalog/catalog.ts";
import type { UrlRow } from "./types.ts";

/** A user's personal URLs, the default server's first and without its name in the path. */
export function personalUrls(
  publicUrl: URL,
  { catalog, config: { defaultServer } }: { catalog: Catalog; config: { defaultServer: string } },
  user: string,
): UrlRow[] {
  const base = `${publicUrl.href.replace(/\/$/, "")}/u/${user}`;
  const others = catalog
    .list()
    .map(({ name }) => name)
    .filter((name) => name !== defaultServer);
  return [defaultServer, ...others].map((server) => {
    const path = server === defaultServer ? base : `${base}/${server}`;
    return { server, sse: `${path}/sse`, http: `${path}/mcp` };
  });
}
