import { accessSync, constants, statfsSync } from "node:fs";
import { refuseProcesses } from "../no-processes.mjs";
import { findTests } from "../suite.mjs";

export const SHARES = 3;

const MEMORY = "/dev/shm";
const TMPFS = 0x01021994;
const ROOM_BYTES = 256 * 1024 * 1024;

/** Three hundred databases are made and thrown away: on a disk each would be waited for until it is safe. */
function useMemoryForFiles() {
  try {
    const { type, bavail, bsize } = statfsSync(MEMORY);
    if (type !== TMPFS || bavail * bsize < ROOM_BYTES) return;
    accessSync(MEMORY, constants.W_OK);
    process.env.TMPDIR = MEMORY;
  } catch {
    // None here, or not for us.
  }
}

/**
 * Runs each third unit test file, in one process: where each has its own, most of the time goes to its
 * start. There are three of these, because half of the time is spent waiting.
 */
export async function runShare(number) {
  refuseProcesses();
  useMemoryForFiles();
  for (const [at, file] of findTests().unit.entries())
    if (at % SHARES === number) await import(new URL(`../../${file}`, import.meta.url).href);
}
