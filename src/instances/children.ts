import { hasChild } from "./instance-types.ts";
import type { Supervisor } from "./supervisor.ts";

/** How many children run, those that drain among them; remotes are none. */
export const countChildren = (supervisor: Pick<Supervisor, "rows">): number =>
  supervisor.rows().filter(hasChild).length;
