import { lstatSync, readdirSync, readlinkSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import { chainOf, isLink, isWithin, refuse } from "./visible-files.ts";

/** Each is a mount of its own, and all of them together must not keep a start waiting. */
const MAX_ENTRIES = 200;

export interface Mask {
  /** Real names, as `realNames` gives them. */
  secrets: readonly string[];
  /** The child's account where it is not the daemon's. */
  uid: number | null;
  /** Where something is put, with the folders in each that cannot be shown whole. */
  splits: ReadonlyMap<string, readonly string[]>;
}

/** Every name by which these files may be come to: those of the links that lead to them, too, which may be replaced by a file. */
export function realNames(files: readonly string[]): string[] {
  return [...new Set(files.flatMap(chainOf).flatMap((name) => [name, realNameOf(name)]))];
}

/** With no link on the way to it, but itself unresolved; it need not be there yet. */
function realNameOf(file: string): string {
  const folder = path.dirname(file);
  if (folder === file) return file;
  try {
    return path.join(realpathSync(folder), path.basename(file));
  } catch {
    return path.join(realNameOf(folder), path.basename(file));
  }
}

/**
 * The folders in this place, itself included, that cannot be shown whole, parents first. A mount that
 * covers a secret would not do: the kernel drops it when another file is renamed over that name,
 * and leaves it on the old folder when that is renamed.
 */
export function splitFolders(place: string, secrets: readonly string[]): string[] {
  const source = realpathSync(place);
  const folders = new Set<string>();
  for (const secret of secrets) {
    // One within another is hidden with it: to split that would show what lies beside it.
    if (secrets.some((other) => other !== secret && isWithin(secret, other))) continue;
    if (secret === source || !isWithin(secret, source)) continue;
    let folder = path.dirname(secret);
    for (; folder !== source; folder = path.dirname(folder)) folders.add(folder);
    folders.add(source);
  }
  return [...folders]
    .filter((folder) => lstatSync(folder, { throwIfNoEntry: false })?.isDirectory())
    .map((folder) => path.join(place, path.relative(source, folder)))
    .toSorted();
}

/** Shows this place as it is but for the secrets in it. Throws INSTANCE_SPAWN_FAILED where that takes too much. */
export function maskSecrets(place: string, mask: Mask, bind: "--bind" | "--ro-bind"): string[] {
  const folders = mask.splits.get(place) ?? splitFolders(place, mask.secrets);
  if (folders.length === 0) return [bind, place, place];
  return folders.flatMap((folder) => [
    ...emptyFolder(folder, mask.uid),
    ...entriesOf(folder)
      .map((name) => path.join(folder, name))
      .filter((entry) => !folders.includes(entry))
      .flatMap((entry) => showEntry(entry, mask, bind)),
  ]);
}

/** Open to the child as far as the folder is in whose place it stands. */
function emptyFolder(folder: string, child: number | null): string[] {
  const { mode, uid } = statSync(folder);
  const isOfChild = child === null || uid === child;
  const perms = isOfChild ? "0755" : `0${(mode & 0o755).toString(8).padStart(3, "0")}`;
  return ["--perms", perms, "--tmpfs", folder];
}

function entriesOf(folder: string): string[] {
  const advice = 'give the daemon\'s files a folder of their own, or the server another "cwd"';
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw refuse(`${folder} holds files of the daemon and cannot be listed (${code}): ${advice}`);
  }
  if (names.length <= MAX_ENTRIES) return names;
  throw refuse(
    `${folder} holds files of the daemon among ${names.length} entries, too many to show one by one (over ${MAX_ENTRIES}): ${advice}`,
  );
}

function showEntry(entry: string, { secrets, splits }: Mask, bind: string): string[] {
  if (secrets.includes(entry) || secrets.includes(realNameOf(entry))) return [];
  // It may be gone by now.
  if (!isLink(entry)) return [`${bind}-try`, entry, entry];
  // Nothing can be put below a link that leads out of the sandbox.
  if ([...splits.keys()].some((place) => isWithin(place, entry))) return [];
  return ["--symlink", readlinkSync(entry), entry];
}
