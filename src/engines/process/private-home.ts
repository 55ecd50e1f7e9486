import { randomBytes } from "node:crypto";
import { chmod, lchown, lstat, mkdir, readdir, rename } from "node:fs/promises";
import path from "node:path";
import { bytesIn, giveFolder, removeFolder } from "./folders.ts";
import type { Ref } from "../engine.ts";

export interface PrivateHome {
  home: string;
  tmp: string;
}

/** Below `dataDir`; everything of one user is in one folder, so that removing the user can remove it. */
export function userHome(dataDir: string, user: string): string {
  return path.join(dataDir, "homes", user);
}

/** Beside a user's homes: a TMPDIR for each child, `SERVER.…`. */
const TMP = ".tmp";

/** What a user's children have on the disk, by server: homes, those of earlier versions (`SERVER.…`) among them, and what is temporary. */
export async function privateHomes(
  dataDir: string,
  user: string,
): Promise<{ server: string; bytes: number }[]> {
  const folder = userHome(dataDir, user);
  const sizes = new Map<string, number>();
  for (const place of [folder, path.join(folder, TMP)])
    for (const name of (await namesIn(place)).filter((each) => !each.startsWith("."))) {
      const server = name.split(".")[0]!;
      const bytes = await bytesIn(path.join(place, name));
      sizes.set(server, (sizes.get(server) ?? 0) + bytes);
    }
  return [...sizes].map(([server, bytes]) => ({ server, bytes }));
}

const namesIn = async (folder: string): Promise<string[]> => await readdir(folder).catch(() => []);

/**
 * The HOME that all of the user's children of this server share, kept between starts, and a TMPDIR of
 * this child's own; both 0700, and the `owner`'s where the child has an account of its own. The
 * folders they are in are the daemon's, so that nothing can be put in their places.
 */
export async function preparePrivateHome(
  dataDir: string,
  { user, server }: Ref,
  owner?: number,
): Promise<PrivateHome> {
  const account = owner ?? process.geteuid!();
  const homes = userHome(dataDir, user);
  const home = path.join(homes, server);
  await mkdir(homes, { recursive: true, mode: 0o700 });
  await adoptHome(homes, server);
  await mkdir(home, { recursive: true, mode: 0o700 });
  // A folder that was there before may have any mode.
  await chmod(home, 0o700);
  // The level may have changed since the last start.
  const { uid } = await lstat(home);
  if (uid !== account) await giveFolder(home, uid, account);
  const places = path.join(homes, TMP);
  await mkdir(places, { recursive: true, mode: 0o700 });
  // Its owner must be able to pass what is around, and sees nothing there.
  if (owner !== undefined) for (const folder of [homes, places]) await chmod(folder, 0o711);
  const tmp = path.join(places, `${server}.${randomBytes(4).toString("hex")}`);
  inUse.add(tmp);
  await mkdir(tmp, { mode: 0o700 });
  if (owner !== undefined) await lchown(tmp, owner, owner);
  return { home, tmp };
}

/**
 * In earlier versions each variant had a home of its own, `SERVER.…`. Where there was none but those,
 * the one last used becomes the home; the others stay as they are until the user is removed.
 */
async function adoptHome(homes: string, server: string): Promise<void> {
  const names = await namesIn(homes);
  if (names.includes(server)) return;
  const earlier = names.filter((name) => name.startsWith(`${server}.`));
  const used = await Promise.all(
    earlier.map(async (name) => {
      const found = await lstat(path.join(homes, name)).catch(() => undefined);
      return { name, at: found?.mtimeMs ?? 0 };
    }),
  );
  const [last] = used.toSorted((a, b) => b.at - a.at);
  if (last === undefined) return;
  // Another child of this server that starts at the same time may have done it.
  await rename(path.join(homes, last.name), path.join(homes, server)).catch(() => {});
}

/** TMPDIRs that this daemon has made. */
const inUse = new Set<string>();

/** Nothing of its child is left. What cannot be deleted is tried again by the daemon's next start. */
export async function removeTmp(tmp: string): Promise<void> {
  await removeFolder(tmp).catch(() => {});
  inUse.delete(tmp);
}

/** Deletes the TMPDIRs of children of a daemon that was killed. Rejects with the system's error. */
export async function removeLeftTmp(dataDir: string): Promise<void> {
  for (const user of await namesIn(path.join(dataDir, "homes"))) {
    const places = path.join(userHome(dataDir, user), TMP);
    for (const name of await namesIn(places)) {
      const tmp = path.join(places, name);
      if (!inUse.has(tmp)) await removeFolder(tmp);
    }
  }
}
