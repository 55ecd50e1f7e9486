import type { StatusRow } from "../api/types.ts";
import { roughDuration } from "../platform/durations.ts";
import { roughSize } from "../platform/sizes.ts";
import { orDash } from "./output.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";
import { variantText } from "./variant.ts";
import type { Line, Tone, View } from "./view.ts";

const TONES: Partial<Record<StatusRow["state"], Tone>> = {
  ready: "good",
  "backing-off": "bad",
  parked: "bad",
};

const toneOf = ({ state, failing }: StatusRow): Tone | undefined =>
  failing ? (state === "ready" || state === "starting" ? "warning" : "bad") : TONES[state];

export const INSTANCE_COLUMNS: readonly Column<StatusRow>[] = [
  { title: "USER", cell: ({ user }) => user },
  { title: "SERVER", cell: ({ server }) => server },
  { title: "STATE", cell: ({ state }) => state, tone: toneOf },
  {
    title: "FOR",
    cell: ({ since }, now) => roughDuration(Math.max(0, now - since) / 1_000),
    isNumber: true,
    leaves: 7,
  },
  { title: "PID", cell: ({ pid }) => orDash(pid), isNumber: true, leaves: 3 },
  { title: "PORT", cell: ({ port }) => orDash(port), isNumber: true, leaves: 2 },
  { title: "GEN", cell: ({ generation }) => String(generation), isNumber: true, leaves: 1 },
  { title: "RESTARTS", cell: ({ restarts }) => String(restarts), isNumber: true, leaves: 4 },
  { title: "SESSIONS", cell: ({ sessions }) => String(sessions), isNumber: true, leaves: 5 },
  { title: "CALLS", cell: ({ inFlight }) => String(inFlight), isNumber: true, leaves: 8 },
  {
    title: "MEMORY",
    cell: ({ rssBytes }) => (rssBytes === null ? "-" : roughSize(rssBytes)),
    isNumber: true,
  },
  {
    title: "IDLE",
    cell: ({ idleSeconds }) => (idleSeconds === null ? "-" : roughDuration(idleSeconds)),
    isNumber: true,
    leaves: 6,
  },
];

/** What a child is for, where it runs if not here, and why it is in its state, below its row. */
const notesOf = ({ variant, place, reason }: StatusRow): string[] =>
  [variantText(variant), place && `pod ${place}`, reason].filter((note) => note !== null);

export function instanceTable(instances: readonly StatusRow[], view: View): Line[] {
  if (instances.length === 0) return ["No instances; the first message starts one."];
  return table(INSTANCE_COLUMNS, instances, view, { notes: notesOf });
}
