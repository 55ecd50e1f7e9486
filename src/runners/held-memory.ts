import { readFileSync } from "node:fs";
import type { ProcessEntry } from "./process-table.ts";

/**
 * What these processes hold that nobody could take from them, in bytes: their own pages and shared
 * memory, not the programs and files they have mapped, which thirty children share and the kernel
 * drops when it needs room. When that looks like more than `limit`, pages that they share among
 * each other, as after a fork, are counted once, which takes longer to find out.
 */
export function heldBytes(processes: readonly ProcessEntry[], limit: number): number {
  const rough = sum(processes, roughKib) * 1024;
  return rough <= limit ? rough : sum(processes, exactKib) * 1024;
}

const roughKib = ({ pid }: ProcessEntry): number => kibOf(`/proc/${pid}/status`, ROUGH);
// A process of another account may be looked at roughly only.
const exactKib = (entry: ProcessEntry): number =>
  kibOf(`/proc/${entry.pid}/smaps_rollup`, EXACT) || roughKib(entry);

const ROUGH = /^Rss(?:Anon|Shmem):\s+(\d+) kB$/gm;
const EXACT = /^Pss_(?:Anon|Shmem):\s+(\d+) kB$/gm;

function kibOf(file: string, fields: RegExp): number {
  try {
    return sum([...readFileSync(file, "latin1").matchAll(fields)], ([, kib]) => Number(kib));
  } catch {
    // It ended since the table was read, or is not ours to look into.
    return 0;
  }
}

const sum = <T>(items: readonly T[], valueOf: (item: T) => number): number =>
  items.reduce((total, item) => total + valueOf(item), 0);
