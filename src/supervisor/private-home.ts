import { createHash } from "node:crypto";
import { chmod, lchown, lstat, mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { renewFolderAs } from "../runners/as-account.ts";
import type { Ref } from "./instance-types.ts";

export interface PrivateHome {
  home: string;
  tmp: string;
}

/** Below `dataDir`; everything of one user is in one folder, so that removing the user can remove it. */
export function userHome(dataDir: string, user: string): string {
  return path.join(dataDir, "homes", user);
}

/** What the files in a folder take on the disk. Follows no link; what vanishes meanwhile counts nothing. */
async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const file = path.join(folder, entry.name);
    const found = await lstat(file).catch(() => undefined);
    bytes += (found?.blocks ?? 0) * 512;
    if (entry.isDirectory()) bytes += await bytesIn(file);
  }
  return bytes;
}

/** The homes of a user's children, variants of one server together, with what they take on the disk. */
export async function privateHomes(
  dataDir: string,
  user: string,
): Promise<{ server: string; bytes: number }[]> {
  const folder = userHome(dataDir, user);
  const sizes = new Map<string, number>();
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((each) => !each.startsWith("."))) {
    const server = name.split(".")[0]!;
    const bytes = await bytesIn(path.join(folder, name));
    sizes.set(server, (sizes.get(server) ?? 0) + bytes);
  }
  return [...sizes].map(([server, bytes]) => ({ server, bytes }));
}

/** Gives all in the folder to this account. Follows no link: what a child has put there must not be given away. */
async function giveTo(owner: number, folder: string): Promise<void> {
  await lchown(folder, owner, owner);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) await giveTo(owner, file);
    else await lchown(file, owner, owner);
  }
}

/**
 * The instance's own HOME, kept between starts, and its TMPDIR, emptied at each; both 0700, and the
 * `owner`'s where the child has an account of its own.
 */
export async function preparePrivateHome(
  dataDir: string,
  ref: Ref,
  owner?: number,
): Promise<PrivateHome> {
  const { user, server, variant } = ref;
  // A variant is free text. The dot keeps its folder apart from those of all servers, whose names have none.
  const hash = createHash("sha256").update(variant).digest("hex").slice(0, 16);
  const home = path.join(userHome(dataDir, user), variant === "" ? server : `${server}.${hash}`);
  await mkdir(home, { recursive: true, mode: 0o700 });
  // Its owner must be able to pass the folder of the user's homes, and sees nothing there.
  if (owner !== undefined) await chmod(path.dirname(home), 0o711);
  // A folder that was there before may have any mode.
  await chmod(home, 0o700);
  const tmp = path.join(home, "tmp");
  // The level may have changed since the last start.
  const account = owner ?? process.geteuid!();
  if ((await lstat(home)).uid !== account) await giveTo(account, home);
  if (owner === undefined) await renew(tmp);
  else await renewFor(owner, tmp);
  return { home, tmp };
}

async function renew(tmp: string): Promise<void> {
  // The child owns its home and may have put a link here: rm takes the link, not what it points to.
  await rm(tmp, { recursive: true, force: true });
  await mkdir(tmp, { mode: 0o700 });
}

/** Variants of a server share an account, and one that runs can change what is in the home of another. */
async function renewFor(owner: number, tmp: string): Promise<void> {
  const found = await lstat(tmp).catch(() => undefined);
  if (found === undefined) {
    await mkdir(tmp, { mode: 0o700 });
    await lchown(tmp, owner, owner);
  } else if (!found.isDirectory() || found.uid !== owner || (await readdir(tmp)).length > 0) {
    await renewFolderAs(owner, tmp);
  }
}
