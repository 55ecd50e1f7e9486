import { HttpLink } from "./http-link.ts";
import type { HttpClient } from "./http1/client.ts";
import type { Link, LinkEvents } from "./link.ts";
import { ModernLink } from "./modern-link.ts";
import { openSseLink } from "./sse-link.ts";
import { StdioLink } from "./stdio-link.ts";
import type { HttpTarget, Target } from "./target.ts";

export interface OpenLinkOptions {
  readonly target: Target;
  /** The connections to a target over HTTP; throws UPSTREAM_REFUSED for one that is never called. */
  readonly clientFor: (target: HttpTarget) => HttpClient;
  /** By then a server has said that it took a message, or never will. */
  readonly postTimeoutMs: number;
  readonly events: LinkEvents;
}

/** Opens a link to a ready generation, whatever it speaks; to a stdio child at once. Rejects with UPSTREAM_* where the server opens none. */
export function openLink(options: OpenLinkOptions): Link | Promise<Link> {
  const { target, clientFor, postTimeoutMs, events } = options;
  switch (target.transport) {
    case "stdio":
      return target.era === "modern"
        ? new ModernLink(target.hub, events)
        : new StdioLink(target.shared, events);
    case "sse":
      return openSseLink({ client: clientFor(target), target, postTimeoutMs }, events);
    case "http":
      return new HttpLink({ client: clientFor(target), target }, events);
  }
}
