import type { ChildServer, Config } from "./types.ts";

/** The servers that are started here. */
export const childServers = ({ servers }: Pick<Config, "servers">): ChildServer[] =>
  Object.values(servers).filter((def) => def.kind === "child");
