import type { Caller } from "../builtins/builtin.ts";
import { BuiltinLink } from "./builtin-link.ts";
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
  /** What a server that is part of the daemon knows of the client; nothing where it is not given. */
  readonly caller?: Caller | undefined;
}

const NOBODY: Caller = { language: "en", app: undefined };

/** Opens a link to a ready generation, whatever it speaks; to a stdio child, and to what is part of the daemon, at once. Rejects with UPSTREAM_* where the server opens none. */
export function openLink(options: OpenLinkOptions): Link | Promise<Link> {
  const { target, clientFor, postTimeoutMs, events, caller = NOBODY } = options;
  switch (target.transport) {
    case "stdio":
      return target.era === "modern"
        ? new ModernLink(target.hub, events)
        : new StdioLink(target.shared, events);
    case "builtin":
      return new BuiltinLink(target.server, caller, events);
    case "sse":
      return openSseLink({ client: clientFor(target), target, postTimeoutMs }, events);
    case "http":
      return new HttpLink({ client: clientFor(target), target }, events);
  }
}
