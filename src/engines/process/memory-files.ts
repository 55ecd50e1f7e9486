import { statSync } from "node:fs";
import { holdersOf } from "./accounts.ts";
import { NO_FILES, bytesOnFileSystem, deviceText } from "./held-memory.ts";
import { MEMORY_FOLDERS } from "./sandbox.ts";
import { lookAtSharedMemory, sharedMemoryOf } from "./shared-memory.ts";
import type { Confinement } from "./confinement.ts";
import type { HeldFiles } from "./held-memory.ts";
import type { ProcessEntry } from "./process-table.ts";

/** What a child holds in files that are memory. */
export interface MemoryFiles {
  /** As last looked, with these as its living processes. */
  of: (processes: readonly ProcessEntry[]) => HeldFiles;
  /** Has a look where that takes a while. Never rejects. */
  look: () => Promise<void>;
}

/** Below level `user` nobody can tell whose they are. */
export function filesFor(confinement: Confinement): MemoryFiles {
  switch (confinement.level) {
    case "none":
      return { of: () => NO_FILES, look: nothing };
    case "user":
      return { of: () => shareOf(confinement.uid), look: lookAtSharedMemory };
    case "sandbox":
      return { of: inSandbox, look: nothing };
  }
}

const nothing = (): Promise<void> => Promise.resolve();

/** Nobody knows which of an account's children made them, and together these may hold so much for each. */
function shareOf(uid: number): HeldFiles {
  const { bytes, hasMapped } = sharedMemoryOf(uid);
  return { bytes: bytes / Math.max(1, holdersOf(uid)), hasMapped };
}

/** Seen through a process inside; nothing before there is one. */
function inSandbox(processes: readonly ProcessEntry[]): HeldFiles {
  const outside = MEMORY_FOLDERS.map((place) => statSync(place, { throwIfNoEntry: false })?.dev);
  for (const { pid } of processes) {
    try {
      const places = MEMORY_FOLDERS.map((place) => `/proc/${pid}/root${place}`);
      const devices = places.map((place) => statSync(place).dev);
      // The wrapper stands outside, where these folders are the machine's.
      if (devices.some((device, index) => device === outside[index])) continue;
      const mapped = new Set(devices.map(deviceText));
      const bytes = places.map(bytesOnFileSystem).reduce((total, each) => total + each, 0);
      return { bytes, hasMapped: ({ device }) => mapped.has(device) };
    } catch {
      // It ended since the table was read, or is not ours to look into.
    }
  }
  return NO_FILES;
}
