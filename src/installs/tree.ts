import { chmodSync, lstatSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";

const WRITE = 0o222;
const READ = 0o444;
const ENTER = 0o111;

/** Folders before what is in them, so that a folder can be opened first. */
function* walk(place: string): Generator<{ place: string; mode: number; isFolder: boolean }> {
  const status = lstatSync(place);
  // The mode of a link is that of what it leads to, which may lie outside.
  if (status.isSymbolicLink()) return;
  yield { place, mode: status.mode & 0o777, isFolder: status.isDirectory() };
  if (status.isDirectory())
    for (const name of readdirSync(place)) yield* walk(path.join(place, name));
}

/** Everybody may read and enter, nobody may write, the owner included. */
export function makeReadOnly(folder: string): void {
  for (const { place, mode, isFolder } of walk(folder)) {
    const isProgram = isFolder || (mode & 0o100) !== 0;
    chmodSync(place, ((mode & ~WRITE) | READ | (isProgram ? ENTER : 0)) & 0o555);
  }
}

/** Removes the tree, read-only or not, if it is there. */
export function removeTree(folder: string): void {
  if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) return;
  // Nothing can be taken out of a folder that its owner may not write.
  for (const { place, isFolder } of walk(folder)) if (isFolder) chmodSync(place, 0o700);
  rmSync(folder, { recursive: true });
}
