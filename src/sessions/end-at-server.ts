import { SESSION_HEADER, withOwnHeaders } from "../mcp/headers.ts";
import type { HttpSession } from "./http-sessions.ts";
import type { Upstreams } from "./upstreams.ts";

/** A server that says no, or nothing, has forgotten the session or will. */
export const UNHEARD = { head() {}, data() {}, end() {}, fail() {}, broke() {} };

/**
 * Tells the server of a relayed session that it is over (Streamable HTTP, "Session Management"),
 * where the client left without a word: the server holds it until somebody does.
 */
export function endAtServer({ peer, live, serving }: HttpSession, upstreams: Upstreams): void {
  const { target } = live;
  if (peer.kind !== "relay" || target.transport === "stdio" || serving.live !== live) return;
  const { pathname, search } = target.url;
  const headers = withOwnHeaders([SESSION_HEADER, peer.childId], target.headers);
  upstreams
    .clientFor(live, target)
    .request({ method: "DELETE", path: pathname + search, headers, body: null }, UNHEARD);
}
