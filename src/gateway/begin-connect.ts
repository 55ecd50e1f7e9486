import type { Catalog } from "../catalog/catalog.ts";
import { SupervisorError } from "../errors.ts";
import { CONNECT_WITHIN_MS } from "../tokens/connects.ts";
import type { Tokens } from "../tokens/tokens.ts";
import { callbackUrl } from "../web/urls.ts";
import type { Trace } from "./trace.ts";

export interface ConnectParts {
  catalog: Pick<Catalog, "findFor">;
  tokens: Pick<Tokens, "connects">;
  /** With the real port, once that is known. */
  publicUrl: URL;
}

/** What a browser keeps until it is back from the provider. */
export const CONNECT_COOKIE = "mcps_connect";

/** Lax: a browser that comes back from the provider would not send a strict one. */
export function connectCookie(publicUrl: URL, value: string, maxAgeSeconds: number): string {
  const { pathname } = new URL(callbackUrl(publicUrl));
  const secure = publicUrl.protocol === "https:" ? "; Secure" : "";
  return `${CONNECT_COOKIE}=${value}; Path=${pathname}; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Lax${secure}`;
}

/** Where the user's browser goes to connect an account for the server, with what it has to keep. SERVER_NOT_FOUND, or as `Connects.begin`. */
export async function beginConnect(
  { catalog, tokens, publicUrl }: ConnectParts,
  { user, server }: { user: string; server: string },
  trace: Pick<Trace, "setServer">,
): Promise<{ body: { location: string }; headers: { "set-cookie": string } }> {
  if (catalog.findFor(user, server) === undefined)
    throw new SupervisorError("SERVER_NOT_FOUND", "there is no such server");
  trace.setServer(server);
  const { url, browser } = await tokens.connects.begin(user, server);
  const cookie = connectCookie(publicUrl, browser, CONNECT_WITHIN_MS / 1000);
  return { body: { location: url.href }, headers: { "set-cookie": cookie } };
}
