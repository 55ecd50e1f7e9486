import type { Catalog } from "../catalog/catalog.ts";

/** A user's personal URLs of one server, one for each front. */
export interface UrlRow {
  server: string;
  sse: string;
  http: string;
}

/** What stands before every path that people see. */
const baseOf = (publicUrl: URL): string => publicUrl.href.replace(/\/$/, "");

/** A user's personal URLs, the default server's first and without its name in the path. */
export function personalUrls(
  publicUrl: URL,
  {
    catalog,
    config: { defaultServer },
  }: { catalog: Catalog; config: { defaultServer: string | null } },
  user: string,
): UrlRow[] {
  const base = `${baseOf(publicUrl)}/u/${user}`;
  const names = catalog.listFor(user).map(({ name }) => name);
  const isDefault = (name: string): boolean => name === defaultServer;
  const others = names.filter((name) => !isDefault(name));
  return [...names.filter(isDefault), ...others].map((server) => {
    const path = server === defaultServer ? base : `${base}/${server}`;
    return { server, sse: `${path}/sse`, http: `${path}/mcp` };
  });
}

/** Where the user connects an account for that server. */
export const connectUrl = (publicUrl: URL, user: string, server: string): string =>
  `${baseOf(publicUrl)}/u/${user}/connect/${server}`;

/** The page of whoever opens it. */
export const mePageUrl = (publicUrl: URL): string => `${baseOf(publicUrl)}/me`;

/** The one address that providers have to know. */
export const callbackUrl = (publicUrl: URL): string => `${baseOf(publicUrl)}/connect/callback`;

/** What stands behind `#` is not sent to anybody by a browser that opens it. */
export const inviteUrl = (publicUrl: URL, code: string): string =>
  `${baseOf(publicUrl)}/invite#${code}`;
