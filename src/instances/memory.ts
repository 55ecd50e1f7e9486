import { setImmediate as nextTurn } from "node:timers/promises";
import type { InstanceStatus } from "./instance-types.ts";

interface Measured {
  /** Memory of the whole process tree; null where none is alive. */
  rssBytes(): Promise<number | null>;
}

/** Few enough that other users' requests wait for a few ms at most, many enough to share a look at the process table. */
const SLICE = 48;

/** The memory of each, in their order. Reads the process table once a slice, and lets others work between slices. */
export async function rssOf(trees: readonly Measured[]): Promise<(number | null)[]> {
  const found: (number | null)[] = [];
  for (let start = 0; start < trees.length; start += SLICE) {
    if (start > 0) await nextTurn();
    const slice = trees.slice(start, start + SLICE);
    found.push(...(await Promise.all(slice.map((tree) => tree.rssBytes()))));
  }
  return found;
}

/** Of this machine, what all rows of `Supervisor.status` have together, in bytes; what a pod has is its node's. */
export const memoryOf = (rows: readonly Pick<InstanceStatus, "place" | "rssBytes">[]): number =>
  rows.reduce((sum, { place, rssBytes }) => (place === null ? sum + (rssBytes ?? 0) : sum), 0);
