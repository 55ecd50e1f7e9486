import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { chmod, chown, lstat, open, opendir, rename, rmdir, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import { runAs } from "./as-account.ts";

/*
 * What lies in a child's folders can be moved and swapped for links at any moment, by whatever runs as
 * its account, and root would follow. So a folder is opened without following, and all in it is named
 * through the descriptor: that leads to this very folder, whatever stands in its place by now.
 */

/** Linux, the same for all its common processors; Node does not name it. */
const O_PATH = 0o10_000_000;
const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;
/** Two descriptors each. Nothing that serves a purpose is nested so deep. */
const MAX_DEPTH = 64;
/** Names that are held in memory at a time. */
const BATCH = 1000;

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;
const itself = ({ fd }: FileHandle): string => `/proc/self/fd/${fd}`;
const inside = (folder: FileHandle, name: string): string => path.join(itself(folder), name);

/** With the folder open; not called where there is none (any more), or none to be read. */
async function within(place: string, work: (folder: FileHandle) => Promise<void>): Promise<void> {
  let folder: FileHandle;
  try {
    folder = await open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP", "EACCES"].includes(codeOf(error) ?? "")) return;
    throw error;
  }
  try {
    await work(folder);
  } finally {
    await folder.close();
  }
}

/** Gives the daemon's account all rights on a folder of its own; a child may have taken them away (Go's module cache does). */
async function unlock(place: string): Promise<void> {
  let folder: FileHandle;
  try {
    // Also opens what may not be read.
    folder = await open(place, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(codeOf(error) ?? "")) return;
    throw error;
  }
  try {
    if ((await folder.stat()).uid === process.geteuid!()) await chmod(itself(folder), 0o700);
  } finally {
    await folder.close();
  }
}

/** What the files in a folder take on the disk; what vanishes meanwhile or may not be read counts nothing. */
export async function bytesIn(place: string, depth = 0): Promise<number> {
  let bytes = 0;
  await within(place, async (folder) => {
    for await (const entry of await opendir(itself(folder))) {
      const file = inside(folder, entry.name);
      bytes += ((await lstat(file).catch(() => undefined))?.blocks ?? 0) * 512;
      if (entry.isDirectory() && depth < MAX_DEPTH) bytes += await bytesIn(file, depth + 1);
    }
  });
  return bytes;
}

/** Gives a folder and what of it was `from`'s to another account: not what somebody else's file was linked into it. */
export async function giveFolder(
  place: string,
  from: number,
  to: number,
  depth = 0,
): Promise<void> {
  if (depth > MAX_DEPTH) throw Object.assign(new Error("nested too deep"), { code: "ELOOP" });
  await within(place, async (folder) => {
    if ((await folder.stat()).uid === from) await folder.chown(to, to);
    for await (const { name } of await opendir(itself(folder))) {
      const file = await open(inside(folder, name), O_PATH | O_NOFOLLOW).catch(() => undefined);
      try {
        const found = await file?.stat();
        if (file === undefined || found === undefined || found.isSymbolicLink()) continue;
        if (found.isDirectory()) await giveFolder(inside(folder, name), from, to, depth + 1);
        else if (found.uid === from) await chown(itself(file), to, to);
      } finally {
        await file?.close();
      }
    }
  });
}

/** As much as the account itself may take away. */
const EMPTY =
  'cd -- "$1" || exit; chmod -R u+rwx . 2>/dev/null; find . ! -name . -prune -exec rm -rf -- {} +';

/**
 * Deletes a folder whose place is the daemon's own, whatever is done in it meanwhile: with the rights
 * of its owner first, where that is another account, and what is left by descriptors. Nothing outside
 * of it is changed. Rejects with the system's error when something cannot be deleted.
 */
export async function removeFolder(place: string): Promise<void> {
  const found = await lstat(place).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isDirectory()) return await unlink(place);
  const isEmpty = await rmdir(place).then(
    () => true,
    () => false,
  );
  if (isEmpty) return;
  if (process.geteuid!() === 0 && found.uid !== 0) {
    await chmod(place, 0o700);
    // What it may not take away, root does.
    await runAs(found.uid, EMPTY, place).catch(() => {});
  }
  await unlock(place);
  await within(place, (folder) => empty(folder, folder, 0));
  await rmdir(place);
}

async function empty(folder: FileHandle, top: FileHandle, depth: number): Promise<void> {
  for (;;) {
    const names = await someNamesIn(folder);
    if (names.length === 0) return;
    for (const name of names) await remove(inside(folder, name), top, depth);
  }
}

async function someNamesIn(folder: FileHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of await opendir(itself(folder))) {
    names.push(name);
    if (names.length === BATCH) break;
  }
  return names;
}

async function remove(place: string, top: FileHandle, depth: number): Promise<void> {
  try {
    return await unlink(place);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    if (codeOf(error) !== "EISDIR") throw error;
  }
  try {
    await unlock(place);
    // Brought up, it is no deeper than others; its turn comes with theirs.
    if (depth === MAX_DEPTH) return await rename(place, inside(top, randomUUID()));
    await within(place, (folder) => empty(folder, top, depth + 1));
    await rmdir(place);
  } catch (error) {
    // Something else stands in its place by now, or came into it: it is looked at anew.
    if (!["ENOENT", "ENOTDIR", "ENOTEMPTY"].includes(codeOf(error) ?? "")) throw error;
  }
}
