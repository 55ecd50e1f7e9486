import { closeSync, fchmodSync, fchownSync, fsyncSync, openSync } from "node:fs";
import { renameSync, rmSync, writeFileSync } from "node:fs";

/**
 * Puts a file or folder in its place whole or not at all: `make` makes it at the path of a draft,
 * which then takes the name. What fails, or was killed before, leaves the place as it was.
 */
export function putInPlace(place: string, make: (draft: string) => void): void {
  const draft = `${place}.new`;
  // One that was killed left it, and its mode could keep it from being written.
  rmSync(draft, { recursive: true, force: true });
  try {
    make(draft);
    renameSync(draft, place);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
}

export interface NewFile {
  text: string;
  /** Whatever the umask is. */
  mode: number;
  /** Who it belongs to; the account of this process unless set. */
  owner?: { uid: number; gid: number };
}

/** Writes a new file, which must not be there, and returns when it is on the disk. */
export function writeNewFile(file: string, { text, mode, owner }: NewFile): void {
  const handle = openSync(file, "wx", mode);
  try {
    fchmodSync(handle, mode);
    if (owner !== undefined) fchownSync(handle, owner.uid, owner.gid);
    writeFileSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Writes the file whole or not at all, over one that is there. */
export function writeInPlace(file: string, content: NewFile): void {
  putInPlace(file, (draft) => writeNewFile(draft, content));
}

/** Returns when the file, or the names in the folder, are on the disk: a power loss could take back a new name else. */
export function syncToDisk(place: string): void {
  const handle = openSync(place, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
