import { rmSync, statSync } from "node:fs";
import path from "node:path";
import { SupervisorError, shortageOf } from "../errors.ts";
import { writeNewFile } from "../platform/atomic-file.ts";

const FILE = "refresh.reserve";
const BYTES = 1024 * 1024;

/**
 * Room on the disk that is kept for what providers give: a token that was fetched and cannot be stored
 * is lost, where the one before it died with its use.
 */
export class Reserve {
  readonly #file: string;

  constructor(dataDir: string) {
    this.#file = path.join(dataDir, FILE);
  }

  /** Sees that it is there. DISK_FULL where it cannot be. */
  keep(): void {
    if (statSync(this.#file, { throwIfNoEntry: false })?.size === BYTES) return;
    this.free();
    try {
      writeNewFile(this.#file, { text: "0".repeat(BYTES), mode: 0o600 });
    } catch (error) {
      this.free();
      throw shortageOf(error, "no room can be kept for a token") ?? error;
    }
  }

  /** Gives the room to whoever writes next. */
  free(): void {
    rmSync(this.#file, { force: true });
  }
}

/** Whether the failure is that of a full disk. */
export const isDiskFull = (error: unknown): boolean =>
  error instanceof SupervisorError && error.code === "DISK_FULL";
