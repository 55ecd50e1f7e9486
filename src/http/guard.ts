import { isIPv4, isIPv6 } from "node:net";
import { SupervisorError } from "../errors.ts";
import { LOOPBACK_NAMES, isLoopbackOrigin } from "../platform/loopback.ts";
import type { RequestHead } from "./exchange.ts";

export interface GuardOptions {
  /** Names beside the loopback ones and IP addresses that clients use for this listener. */
  hosts: readonly string[];
  /** Origins of web pages that may call this listener. */
  origins: readonly string[];
  /**
   * Which other pages may: those of the very host that was called and any on a loopback origin, where
   * browser tools live, or only the listener's own, scheme, port and all. Loopback is safe for what a
   * key opens alone, because a browser adds no key by itself.
   */
  pages: "loopback" | "own";
  /** Whether a name without a dot is this listener's too: containers call each other by such names. */
  dotless?: boolean;
}

/** The name in a Host header or authority without its port, in lower case. */
function withoutPort(authority: string): string {
  return authority.toLowerCase().replace(/:\d*$/, "");
}

/** In the spelling that browsers have for an address: four decimals, or IPv6 in brackets without a zone. */
function isAddress(name: string): boolean {
  const inner = /^\[([\da-f:.]+)\]$/.exec(name)?.[1];
  return inner === undefined ? isIPv4(name) : isIPv6(inner);
}

function countOf(rawHeaders: readonly string[], name: "host"): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]!.length === name.length && rawHeaders[i]!.toLowerCase() === name) count += 1;
  return count;
}

/**
 * Refuses a request whose Host is no name of this listener, HOST_REFUSED, whose Origin may not call it,
 * ORIGIN_REFUSED, or which is of another HTTP than 1.0 and 1.1, REQUEST_INVALID.
 *
 * A page on evil.example that rebinds its name to 127.0.0.1 sends its own Host, and a page that just
 * posts across sends its Origin (CVE-2025-66414, CVE-2025-49596). Nobody can rebind an address, so a
 * Host that is one is always good. Clients that are no browsers send no Origin, so Host is checked always. Two Host headers are refused, because Node keeps
 * the first and a proxy in front may have looked at the second.
 */
export function createGuard(options: GuardOptions): (req: RequestHead) => void {
  const hosts = new Set([...LOOPBACK_NAMES, ...options.hosts].map(withoutPort));
  const origins = new Set(options.origins.map((origin) => origin.toLowerCase().replace(/\/$/, "")));
  const { pages, dotless = false } = options;
  const isHost = (name: string): boolean =>
    hosts.has(name) || isAddress(name) || (dotless && /^[a-z0-9_-]+$/.test(name));
  const isPage = (origin: string, host: string): boolean =>
    origin === `http://${host}` ||
    (pages === "loopback" && (isLoopbackOrigin(origin) || origin === `https://${host}`));
  // Nearly every request names the host that the one before it named.
  let accepted: string | undefined;
  return (req) => {
    // Node parses 0.9 and 2.0 as if they were 1.1; whoever stood in front read something else.
    if (req.httpVersionMajor !== 1)
      throw new SupervisorError("REQUEST_INVALID", "this is not HTTP/1.1");
    const { host } = req.headers;
    const isOurs = host !== undefined && (host === accepted || isHost(withoutPort(host)));
    if (isOurs) accepted = host;
    if (!isOurs || countOf(req.rawHeaders, "host") !== 1) {
      throw new SupervisorError(
        "HOST_REFUSED",
        "the host name of the request is not one of this server's; an admin can add it to allowedHosts",
      );
    }
    const origin = req.headers.origin?.toLowerCase();
    if (origin === undefined || origins.has(origin) || isPage(origin, host.toLowerCase())) return;
    throw new SupervisorError(
      "ORIGIN_REFUSED",
      "web pages of that origin may not call this server; an admin can add it to allowedOrigins",
    );
  };
}
