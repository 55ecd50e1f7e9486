import { SupervisorError } from "../../errors.ts";

const PRESERVING = new Set([307, 308]);
const MAX_REDIRECTS = 3;

/**
 * Where to send the same request again, for the redirects that frameworks make of `/mcp` and
 * `/mcp/`; undefined for any other status. Clients never see one: Langflow does not follow them, and
 * Location speaks for the child's origin. Throws UPSTREAM_INVALID for an off-origin target, and for
 * a request that was redirected too often already.
 */
export function redirectTarget(
  status: number,
  location: string | string[] | undefined,
  from: URL,
  redirectsSoFar: number,
): URL | undefined {
  if (!PRESERVING.has(status)) return undefined;
  if (redirectsSoFar === MAX_REDIRECTS)
    throw new SupervisorError("UPSTREAM_INVALID", "the server redirects in circles");
  const target =
    typeof location === "string" && URL.canParse(location, from.href)
      ? new URL(location, from)
      : undefined;
  if (target === undefined || target.origin !== from.origin) {
    throw new SupervisorError(
      "UPSTREAM_INVALID",
      "the server redirects to another origin, which is never called",
    );
  }
  return target;
}
