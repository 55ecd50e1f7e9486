/** The routes that are told apart in counters; few, because each is a series of its own. */
export const ROUTES = ["sse", "messages", "mcp", "tools", "own", "health", "other"] as const;
export type RouteName = (typeof ROUTES)[number];

/** What became of one request of the gateway. */
export interface RequestRecord {
  requestId: string;
  /** Epoch ms of its arrival. */
  at: number;
  route: RouteName;
  method: string;
  /** As the client wrote it, without the query. */
  path: string;
  /** 499 where the client left before it was answered, as nginx has it. */
  status: number;
  durationMs: number;
  remoteAddress: string;
  userAgent: string;
  /** Whose access key it was; null where none was valid. */
  user: string | null;
  /** The user in the path, whom nobody has proved to be. */
  pathUser: string | null;
  server: string | null;
  tool: string | null;
  keyLabel: string | null;
  /** Of the instance that it reached, if it reached one. */
  generation: number | null;
  bytesIn: number;
  /** Null for one that went well. */
  failure: RequestFailure | null;
}

export interface RequestFailure {
  code: string;
  message: string;
  /** For the admin only. */
  details: readonly string[];
}

/** A record to begin with; one shape for all of them keeps the engine quick. */
export const NOTHING_KNOWN: Readonly<RequestRecord> = Object.freeze({
  requestId: "",
  at: 0,
  route: "other",
  method: "",
  path: "",
  status: 0,
  durationMs: 0,
  remoteAddress: "",
  userAgent: "",
  user: null,
  pathUser: null,
  server: null,
  tool: null,
  keyLabel: null,
  generation: null,
  bytesIn: 0,
  failure: null,
});
