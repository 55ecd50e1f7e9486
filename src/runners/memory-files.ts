import { statSync, statfsSync } from "node:fs";
import { MEMORY_FOLDERS } from "./sandbox.ts";
import { NO_FILES } from "./held-memory.ts";
import type { Confinement } from "./confinement.ts";
import type { HeldFiles } from "./held-memory.ts";
import type { ProcessEntry } from "./process-table.ts";

/** What the kernel itself reckons an inode of a file system in memory at (BOGO_INODE_SIZE). */
const INODE_BYTES = 1024;

/** How to find out what a child in this confinement holds in files that are memory, from its living processes. */
export function filesFor(
  confinement: Confinement,
): (processes: readonly ProcessEntry[]) => HeldFiles {
  switch (confinement.level) {
    case "sandbox":
      return filesInSandbox;
    case "user":
    case "none":
      return () => NO_FILES;
  }
}

/** Seen through a process inside; nothing before there is one. */
function filesInSandbox(processes: readonly ProcessEntry[]): HeldFiles {
  const outside = MEMORY_FOLDERS.map((place) => statSync(place, { throwIfNoEntry: false })?.dev);
  for (const { pid } of processes) {
    try {
      const places = MEMORY_FOLDERS.map((place) => `/proc/${pid}/root${place}`);
      const devices = places.map((place) => statSync(place).dev);
      // The wrapper stands outside, where these folders are the machine's.
      if (devices.some((device, index) => device === outside[index])) continue;
      const mapped = new Set(devices.map(deviceText));
      const bytes = places.map(bytesIn).reduce((total, each) => total + each, 0);
      return { bytes, hasMapped: ({ device }) => mapped.has(device) };
    } catch {
      // It ended since the table was read, or is not ours to look into.
    }
  }
  return NO_FILES;
}

function bytesIn(place: string): number {
  const { blocks, bfree, bsize, files, ffree } = statfsSync(place);
  return (blocks - bfree) * bsize + (files - ffree) * INODE_BYTES;
}

/** A device as `/proc/PID/maps` writes it, from the number that `stat` gives (gnu_dev_major(3)). */
function deviceText(device: number): string {
  const major = Math.floor(device / 2 ** 8) & 0xfff;
  const minor = (device & 0xff) | (Math.floor(device / 2 ** 12) & 0xfff00);
  return [major, minor].map((part) => part.toString(16).padStart(2, "0")).join(":");
}
