import type { OutputShare } from "../platform/output-share.ts";
import type { ModernStdio } from "./modern-stdio.ts";
import type { SharedStdio } from "./shared-stdio.ts";

/** Where the messages for one generation of a server go, and how that speaks. */
export type Target = HttpTarget | StdioTarget;

export interface HttpTarget {
  transport: "sse" | "http";
  url: URL;
  /** To be sent with the next request: read them for each. Of a remote they may hold the user's token, as it is at the moment. */
  headers: Readonly<Record<string, string>>;
  isRemote: boolean;
  /** The unix socket that leads there, for a child in a network of its own; else null. */
  socketPath: string | null;
  /** What it may write in all. */
  output: OutputShare;
}

/** The pipes of a child that has answered already: `initialize`, or `server/discover`. */
export type StdioTarget =
  | { transport: "stdio"; era: "legacy"; shared: SharedStdio }
  | { transport: "stdio"; era: "modern"; hub: ModernStdio };
