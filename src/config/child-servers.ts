import type { ChildServer, ServerDef } from "./types.ts";

/** Those that are started here. */
export const childServers = (servers: readonly ServerDef[]): ChildServer[] =>
  servers.filter((def) => def.kind === "child");
