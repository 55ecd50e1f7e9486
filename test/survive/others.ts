import type { Kind } from "../helpers/notes-calls.ts";
import { FAULTS, ride } from "./faults.ts";
import type { Fault, Stand, Tally } from "./faults.ts";
import { openStands } from "./own-stands.ts";
import type { StartGateway } from "./rig.ts";
import type { SomeClient } from "./sdk-clients.ts";
import { Sheet } from "./sheet.ts";

const KINDS = ["stdio", "http"] as const;

/** What one client has met under one fault. */
export interface Met extends Tally {
  stand: string;
  fault: Fault;
}

/** All the faults that a stand knows, one kind after the other. */
export async function rideAll(
  stands: readonly Stand[],
  clients: () => readonly SomeClient[],
  rounds: number,
): Promise<Met[]> {
  const met: Met[] = [];
  for (const stand of stands)
    for (const fault of FAULTS)
      for (const tally of (await ride(stand, clients(), fault, rounds)) ?? [])
        met.push({ ...tally, stand: stand.name, fault });
  return met;
}

/** Line 9: clients that other people wrote, a session each through all of it. */
export async function rideWithOthers(
  start: StartGateway,
  clients: () => readonly SomeClient[],
  rounds: number,
  kinds: readonly Kind[] = KINDS,
): Promise<Sheet> {
  const sheet = new Sheet();
  await Promise.all(
    kinds.map((kind) =>
      sheet.look(kind, async () => {
        const { stands, rig } = await openStands(start, kind);
        try {
          for (const met of await rideAll(stands, clients, rounds)) judge(met, sheet);
        } finally {
          await rig.close();
        }
      }),
    ),
  );
  return sheet;
}

function judge(met: Met, sheet: Sheet): void {
  // What has an effect and was under way may have happened: its error is its answer.
  const underWay = met.fault === "replaced" ? `${met.errors} errors, ` : "";
  const words = (zeros: readonly number[]) =>
    [
      "unanswered",
      "duplicated",
      "failed reads",
      "failed calls",
      "of another session",
      "sessions lost",
    ]
      .map((word, i) => `${zeros[i]} ${word}`)
      .join(", ");
  const { unanswered, duplicated, failedReads, failedCalls, strangers, begunAnew, said } = met;
  const wanted = `${met.fault === "replaced" ? "0 errors, " : ""}${words([0, 0, 0, 0, 0, 0])}`;
  const found =
    underWay + words([unanswered, duplicated, failedReads, failedCalls, strangers, begunAnew]);
  sheet.note(
    `${met.client} at ${met.stand}, ${met.rounds} times ${met.fault}`,
    wanted,
    wanted === found ? found : [found, ...new Set(said)].join("; "),
  );
}
