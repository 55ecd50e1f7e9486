import type { ServerDef } from "../config/config.ts";
import type { InstanceRow, StateName } from "../instances/supervisor.ts";
import type { Offer } from "./offer.ts";
import type { ServerRow } from "./tool-list.ts";

/** The state of a server with several children is that of the one that does best. */
const BEST: readonly StateName[] = [
  "ready",
  "starting",
  "draining",
  "backing-off",
  "parked",
  "stopped",
];

/** What a user is told of a server, from the rows of the user's instances. */
export function serverRow(
  server: ServerDef,
  rows: readonly InstanceRow[],
  offer: Offer | undefined,
): ServerRow {
  const own = rows.filter((row) => row.server === server.name);
  const [best] = own.toSorted((a, b) => BEST.indexOf(a.state) - BEST.indexOf(b.state));
  const state = best?.state ?? "stopped";
  const isDown = state === "backing-off" || state === "parked";
  return {
    name: server.title,
    slug: server.name,
    type: server.transport,
    state,
    tools: offer === undefined ? null : [...offer.keys()],
    ...(isDown ? { error: best?.reason ?? "it does not start" } : {}),
  };
}
