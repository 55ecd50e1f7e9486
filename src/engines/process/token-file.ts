import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { writeInPlace } from "../../platform/atomic-file.ts";

/**
 * Where such files are: in memory where a service manager gives a folder for that. Not among the
 * sockets of the data folder, which no account of a child may pass to.
 */
export function tokenFolders(dataDir: string): string {
  const [runtime = ""] = (process.env["RUNTIME_DIRECTORY"] ?? "").split(":");
  return path.join(runtime === "" ? dataDir : runtime, "tokens");
}

/**
 * The token of one child as a file, in a folder of the daemon's: the child can read it, and put nothing
 * in its place, where it has an account or a sandbox of its own.
 */
export class TokenFile {
  readonly folder: string;
  readonly file: string;
  /** Its account, where it has one of its own. */
  readonly #child: number | undefined;

  /** `child` is the child's account; undefined for the daemon's own. Throws the system's error. */
  constructor(folders: string, token: string, child: number | undefined) {
    this.folder = path.join(folders, randomBytes(8).toString("hex"));
    this.file = path.join(this.folder, "token");
    this.#child = child;
    const mode = child === undefined ? 0o700 : 0o711;
    try {
      for (const place of [folders, this.folder]) {
        mkdirSync(place, { recursive: true, mode });
        // One account may pass to its own; whatever the umask is.
        if (child !== undefined) chmodSync(place, mode);
      }
      this.replace(token);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** Another token takes its place, whole or not at all. Throws the system's error. */
  replace(token: string): void {
    const child = this.#child;
    // Never the child's own: whoever owns a file can open it to be written.
    const shared = child === undefined ? { mode: 0o400 } : { mode: 0o440, owner: ownedFor(child) };
    writeInPlace(this.file, { text: token, ...shared });
  }

  /** Its child is gone, or was not started. */
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** An account's group has its number. */
const ownedFor = (account: number): { uid: number; gid: number } => ({
  uid: process.geteuid!(),
  gid: account,
});
