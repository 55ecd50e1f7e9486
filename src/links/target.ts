import { SupervisorError } from "../errors.ts";
import type { Builtin } from "../builtins/builtin.ts";
import type { Reach } from "../platform/address.ts";
import type { OutputShare } from "../platform/output-share.ts";
import type { ModernStdio } from "./modern-stdio.ts";
import type { SharedStdio } from "./shared-stdio.ts";

/** Where the messages for one generation of a server go, and how that speaks. */
export type Target = HttpTarget | StdioTarget | BuiltinTarget;

export interface HttpTarget {
  transport: "sse" | "http";
  url: URL;
  /** To be sent with the next request: read them for each. Of a remote they may hold the user's token, as it is at the moment. */
  headers: Readonly<Record<string, string>>;
  isRemote: boolean;
  /** Of a remote: which addresses it may have; `any` unless it is said. */
  reach?: Reach;
  /** The unix socket that leads there, for a child in a network of its own; else null. */
  socketPath: string | null;
  /** What it may write in all. */
  output: OutputShare;
}

/** The pipes of a child that has answered already: `initialize`, or `server/discover`. */
export type StdioTarget =
  | { transport: "stdio"; era: "legacy"; shared: SharedStdio }
  | { transport: "stdio"; era: "modern"; hub: ModernStdio };

/** A server that is part of the daemon. */
export interface BuiltinTarget {
  transport: "builtin";
  server: Builtin;
}

/** Throws INTERNAL for a server that does not speak over HTTP: nobody leads a request there. */
export function requireHttp(target: Target): HttpTarget {
  if (target.transport === "sse" || target.transport === "http") return target;
  throw new SupervisorError("INTERNAL", "the server does not speak over HTTP");
}
