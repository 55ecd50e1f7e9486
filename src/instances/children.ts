import type { Supervisor } from "./supervisor.ts";

/** How many children run; remotes are none. */
export const countChildren = (supervisor: Pick<Supervisor, "list">): number =>
  supervisor.list().filter(({ pid }) => pid !== null).length;
