import type { Config, ServerDef } from "../config/config.ts";
import type { HttpRequest, StreamableResponse } from "../http/exchange.ts";
import type { Edge } from "../http/edge.ts";
import { perHead } from "../http/per-head.ts";
import { headersToChild } from "../mcp/headers.ts";
import type { Principal } from "../auth/registry.ts";
import type { Claim } from "../sessions/belongs.ts";
import type { SessionSettings } from "../sessions/session-options.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Instance } from "../instances/supervisor.ts";
import type { BodyReader } from "./body-reader.ts";
import type { Heart } from "./client-stream.ts";
import type { Route } from "./routes.ts";
import type { TokenGate } from "../sessions/token-gate.ts";
import type { Trace } from "./trace.ts";

/** What the fronts share. */
export interface FrontContext {
  config: Config;
  sessions: Sessions;
  heart: Heart;
  bodies: BodyReader;
  edge: Edge;
  gate: TokenGate;
  /** The path prefix that clients see. */
  prefix: string;
  /** That of the config, with the real port, once that is known, where the config leaves it to the system. */
  publicUrl: URL;
}

/** One authenticated request on its own user's path. */
export interface RequestContext {
  req: HttpRequest;
  res: StreamableResponse;
  requestId: string;
  trace: Trace;
  principal: Principal;
  route: Route;
  server: ServerDef;
  instance: Instance;
  /** Of a server that is part of the daemon. */
  settings: SessionSettings | undefined;
}

/** By what the request claims the session that it names. */
export const claimOf = ({
  principal: holder,
  instance,
  server,
  settings,
}: Pick<RequestContext, "principal" | "instance" | "server" | "settings">): Claim => ({
  holder,
  instance,
  server,
  settings,
});

/** The headers of the request that a child may see. */
export const passedHeaders = perHead<readonly string[]>(({ rawHeaders, headers }) =>
  headersToChild(rawHeaders, headers.connection),
);

/** The last event that the client has of the stream for which it comes back, by its own account. */
export function lastEventIdOf({ req }: Pick<RequestContext, "req">): string | undefined {
  const id = req.headers["last-event-id"];
  return typeof id === "string" ? id : undefined;
}
