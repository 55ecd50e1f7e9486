import { closeSync, openSync, readFileSync, readSync, statfsSync } from "node:fs";
import type { ProcessEntry } from "./process-table.ts";

/** Memory that a child holds in files, whether or not a process has them mapped. */
export interface HeldFiles {
  bytes: number;
  /** Whether what is mapped there (`device` as `/proc/PID/smaps` writes it) is in `bytes` already. */
  hasMapped: (mapping: { device: string; name: string }) => boolean;
}

/** What the kernel itself reckons an inode of a file system in memory at (BOGO_INODE_SIZE). */
export const INODE_BYTES = 1024;

/** What all that lies on the file system of this place takes, in memory. */
export function bytesOnFileSystem(place: string): number {
  const { blocks, bfree, bsize, files, ffree } = statfsSync(place);
  return (blocks - bfree) * bsize + (files - ffree) * INODE_BYTES;
}

/** A device as `/proc/PID/smaps` writes it, from the number that `stat` gives (gnu_dev_major(3)). */
export function deviceText(device: number): string {
  const major = Math.floor(device / 2 ** 8) & 0xfff;
  const minor = (device & 0xff) | (Math.floor(device / 2 ** 12) & 0xfff00);
  return [major, minor].map((part) => part.toString(16).padStart(2, "0")).join(":");
}

export const NO_FILES: HeldFiles = { bytes: 0, hasMapped: () => false };

/**
 * What these processes and files hold that nobody could take from them, in bytes: their own pages
 * and shared memory, not the programs and files they have mapped, which thirty children share and
 * the kernel drops when it needs room. When that looks like more than `limit`, pages that they share
 * among each other, as after a fork, or with the files are counted once, which takes longer to find out.
 */
export function heldBytes(
  processes: readonly ProcessEntry[],
  limit: number,
  files: HeldFiles = NO_FILES,
): number {
  const rough = files.bytes + sum(processes, roughKib) * 1024;
  if (rough <= limit) return rough;
  const exact = files.bytes + sum(processes, exactKib) * 1024;
  if (exact <= limit || files.bytes === 0) return exact;
  return exact - sum(processes, (entry) => mappedKib(entry, files)) * 1024;
}

/**
 * Resident memory of these processes and what they hold in files, in bytes: programs and files that
 * they have mapped are counted for each. Those that are gone count nothing.
 */
export function residentBytes(processes: readonly ProcessEntry[], files: HeldFiles): number {
  if (processes.length === 0) return 0;
  const status = (field: RegExp) =>
    sum(processes, ({ pid }) => kibOf(`/proc/${pid}/status`, field)) * 1024;
  // What of the files is mapped is resident already.
  const { bytes } = files;
  return status(RESIDENT) + (bytes === 0 ? 0 : Math.max(0, bytes - status(SHARED)));
}

const roughKib = ({ pid }: ProcessEntry): number => kibOf(`/proc/${pid}/status`, ROUGH);
// A process of another account may be looked at roughly only.
const exactKib = (entry: ProcessEntry): number =>
  kibOf(`/proc/${entry.pid}/smaps_rollup`, EXACT) || roughKib(entry);

const RESIDENT = /^VmRSS:\s+(\d+) kB$/gm;
const SHARED = /^RssShmem:\s+(\d+) kB$/gm;
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

/** What is read of the list of one process: that of Node is half as long, and a hostile one has no end. */
const SMAPS_BYTES = 1 << 20;
const SHARES = /^RssShmem:\s+[1-9]/m;
const OF_MAPPINGS =
  /^(?:[0-9a-f]+-[0-9a-f]+ \S+ \S+ (\S+) \d+ *(.*)|(Pss|Anonymous): +(\d+) kB)$/gm;

/** Of these files, what the process has mapped and was counted for; its own copies of their pages are not in them. */
function mappedKib({ pid }: ProcessEntry, { hasMapped }: HeldFiles): number {
  try {
    if (!SHARES.test(readFileSync(`/proc/${pid}/status`, "latin1"))) return 0;
    let kib = 0;
    let isInFiles = false;
    for (const match of startOf(`/proc/${pid}/smaps`).matchAll(OF_MAPPINGS)) {
      const [, device, name = "", field, value] = match;
      if (device !== undefined) isInFiles = hasMapped({ device, name });
      else if (isInFiles) kib += field === "Pss" ? Number(value) : -Number(value);
    }
    return Math.max(0, kib);
  } catch {
    return 0;
  }
}

function startOf(file: string): string {
  const fd = openSync(file, "r");
  try {
    const buffer = Buffer.allocUnsafe(SMAPS_BYTES);
    let length = 0;
    for (let read = -1; read !== 0 && length < SMAPS_BYTES; length += read)
      read = readSync(fd, buffer, length, SMAPS_BYTES - length, null);
    return buffer.toString("latin1", 0, length);
  } finally {
    closeSync(fd);
  }
}

const sum = <T>(items: readonly T[], valueOf: (item: T) => number): number =>
  items.reduce((total, item) => total + valueOf(item), 0);
