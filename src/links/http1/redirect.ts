import { SupervisorError } from "../../errors.ts";

const PRESERVING = new Set([307, 308]);
const MAX_REDIRECTS = 3;

/** The server sent a request where it is not taken: the request is refused, and nothing else of its session. */
export class RedirectRefused extends SupervisorError {
  constructor(why: string) {
    super("UPSTREAM_INVALID", `the server redirects ${why}`);
  }
}

/** Those that have the same request sent again, as frameworks make of `/mcp` and `/mcp/`; any other status is an answer. */
export const isRedirect = (status: number): boolean => PRESERVING.has(status);

/**
 * Where to send the same request again. Clients never see a redirect: Langflow does not follow them,
 * and Location speaks for the child's origin. Throws RedirectRefused for an off-origin target, and
 * for a request that was redirected too often already.
 */
export function redirectTarget(
  location: string | string[] | undefined,
  from: URL,
  redirectsSoFar: number,
): URL {
  if (redirectsSoFar === MAX_REDIRECTS) throw new RedirectRefused("in circles");
  const target =
    typeof location === "string" && URL.canParse(location, from.href)
      ? new URL(location, from)
      : undefined;
  if (target === undefined || target.origin !== from.origin)
    throw new RedirectRefused("to another origin, which is never called");
  return target;
}
