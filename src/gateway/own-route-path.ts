import { SupervisorError } from "../errors.ts";
import { valuesOf } from "./routes.ts";
import type { OwnRoute } from "./routes.ts";

export const OWN_ROUTE_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const;

/** Characters that stand in a path as they are (RFC 3986, 3.3), and bytes in percent form. */
const PLAIN_PATH = /^\/(?:[\w.~!$&'()*+,;=:@/-]|%[\da-f]{2})*$/i;
/** A dot, a slash, a backslash or a percent sign that a second reader would find. */
const HIDDEN = /%(?:2e|2f|5c|25)/i;

/**
 * Whether every reader of such a path finds the same in it: no dot segment, no empty one, and no
 * character in it that becomes a dot, a slash or a control character when it is decoded or normalised.
 */
function isPlain(path: string): boolean {
  if (!PLAIN_PATH.test(path) || HIDDEN.test(path)) return false;
  let text: string;
  try {
    text = decodeURIComponent(path).normalize("NFKC");
  } catch {
    return false;
  }
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\\\x00-\x1f\x7f-\x9f]/.test(text) || text.split("/").length !== path.split("/").length)
    return false;
  const segments = text.slice(1).split("/");
  return segments.every(
    (segment, index) => isName(segment) || (segment === "" && index === segments.length - 1),
  );
}

/** Some servers take what follows a semicolon for no part of the name. */
const isName = (segment: string): boolean => !/^(?:\.{0,2}|\.{1,2}\s*;.*)$/.test(segment);

const isBelow = (path: string, prefix: string): boolean =>
  path === prefix || path.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);

/** The prefix of the server's routes that this path is below; undefined for one that no route leads to. */
export const routeOf = (path: string, routes: readonly string[]): string | undefined =>
  isPlain(path) ? routes.find((prefix) => isBelow(path, prefix)) : undefined;

/** As `routeOf`, with NOT_FOUND for a path that no route leads to. */
export function requireRoute({ path }: OwnRoute, routes: readonly string[]): string {
  const prefix = routeOf(path, routes);
  if (prefix !== undefined) return prefix;
  throw new SupervisorError("NOT_FOUND", "there is nothing at this path");
}

/** The path with its query as the server is asked for it: without the secret. */
export function withoutSecret(path: string, query: string): string {
  const kept = query
    .split("&")
    .filter((pair) => valuesOf(pair, "token").length === 0 && nameOf(pair) !== "token");
  const rest = kept.join("&");
  return rest === "" ? path : `${path}?${rest}`;
}

function nameOf(pair: string): string {
  try {
    return decodeURIComponent(pair.split("=", 1)[0]!);
  } catch {
    return "";
  }
}

/** Names under which a server of this machine may speak of itself. */
const SELF = /^(?:localhost|127(?:\.\d+){3}|\[::1\]|0\.0\.0\.0|\[::\])$/;

/**
 * A Location of the server's as clients reach it, below `base`; undefined for what is not below the
 * prefix of the route that was asked for, or is elsewhere.
 */
export function locationFor(
  said: string | undefined,
  asked: URL,
  { prefix, base }: { prefix: string; base: string },
): string | undefined {
  if (said === undefined || !URL.canParse(said, asked.href)) return undefined;
  const to = new URL(said, asked);
  const isSelf = SELF.test(to.hostname) && SELF.test(asked.hostname);
  const isSame =
    to.protocol === asked.protocol &&
    to.port === asked.port &&
    (isSelf || to.hostname === asked.hostname) &&
    `${to.username}${to.password}` === "";
  if (!isSame || routeOf(to.pathname, [prefix]) === undefined) return undefined;
  return `${base}${to.pathname}${to.search}${to.hash}`;
}
