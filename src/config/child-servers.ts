import type { ChildServer, PodRecipe, ServerDef } from "./types.ts";

/** Those that are started here, as processes of this machine. */
export const childServers = (servers: readonly ServerDef[]): ChildServer[] =>
  servers.filter((def) => def.kind === "child" && def.pod === undefined) as ChildServer[];

/** A server whose children are pods. */
export type PodServer = ChildServer & { pod: PodRecipe };

export const isPodServer = (def: ServerDef): def is PodServer =>
  def.kind === "child" && def.pod !== undefined;
