import type { Config } from "../config/config.ts";
import type { UrlRow } from "./shapes.ts";

/** A user's personal URLs, the default server's first and without its name in the path. */
export function personalUrls(
  publicUrl: URL,
  { defaultServer, servers }: Pick<Config, "defaultServer" | "servers">,
  user: string,
): UrlRow[] {
  const base = `${publicUrl.href.replace(/\/$/, "")}/u/${user}`;
  const others = Object.keys(servers).filter((name) => name !== defaultServer);
  return [defaultServer, ...others].map((server) => {
    const path = server === defaultServer ? base : `${base}/${server}`;
    return { server, sse: `${path}/sse`, http: `${path}/mcp` };
  });
}
