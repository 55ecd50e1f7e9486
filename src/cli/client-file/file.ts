import {
  constants,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
} from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { syncToDisk, writeInPlace, writeNewFile } from "../../platform/atomic-file.ts";
import { refused } from "./refusal.ts";

/** A client's file as it is now. */
export interface Found {
  file: string;
  text: string;
  /** Undefined where there is no such file yet. */
  mode: number | undefined;
}

/** No file of settings is this large, and one that is may be anything. */
const MAX_BYTES = 16 * 1024 * 1024;
const PRIVATE = 0o600;

/** Where `~/` is the home folder of the account, and all else below the folder of this process. */
const resolvePlace = (place: string): string =>
  place.startsWith("~/") ? path.join(homedir(), place.slice(2)) : path.resolve(place);

/** CLIENT_FILE_REFUSED for root: the file is that of whoever uses the client. */
export function requireOwnAccount(): void {
  if (process.geteuid?.() === 0)
    throw refused("root writes into nobody's files", [
      "run it as the account that uses the client; the config's controlGroup lets it ask the daemon",
    ]);
}

function openFound(file: string): number | undefined {
  try {
    return openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (code === "ELOOP") throw isLink(file);
    throw error;
  }
}

const isLink = (place: string): Error =>
  refused(`${place} is a link, and links are not followed`, ["name the file itself: --write FILE"]);

/** CLIENT_FILE_REFUSED for what is a link, no plain file, or another account's. */
export function readFound(place: string): Found {
  const file = resolvePlace(place);
  const folder = lstatSync(path.dirname(file), { throwIfNoEntry: false });
  if (folder?.isSymbolicLink()) throw isLink(path.dirname(file));
  const handle = openFound(file);
  if (handle === undefined) return { file, text: "", mode: undefined };
  try {
    const stat = fstatSync(handle);
    if (!stat.isFile()) throw refused(`${file} is not a file`);
    if (stat.uid !== process.geteuid?.()) throw refused(`${file} belongs to another account`);
    if (stat.size > MAX_BYTES) throw refused(`${file} is too large for a file of settings`);
    const text = readFileSync(handle, "utf8");
    return { file, text, mode: stat.mode & 0o7777 };
  } finally {
    closeSync(handle);
  }
}

/** A copy of the file as it was, under a name that nothing has. */
function leaveCopy({ file, text, mode = PRIVATE }: Found): string {
  const copy = `${file}.${new Date().toISOString().replaceAll(/[:.]/g, "-")}.bak`;
  writeNewFile(copy, { text, mode });
  return copy;
}

/**
 * Writes the text in the place of what was found, whole or not at all; returns the copy that was left
 * beside it, null where there was no file. CLIENT_FILE_REFUSED where somebody else has changed it since.
 */
export function writeFound(found: Found, text: string): string | null {
  const { file, mode } = found;
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const now = readFound(file);
  if (now.text !== found.text || now.mode !== mode)
    throw refused(`${file} has been changed meanwhile`, ["the same command begins anew"]);
  const copy = mode === undefined ? null : leaveCopy(found);
  writeInPlace(file, { text, mode: mode ?? PRIVATE });
  syncToDisk(path.dirname(file));
  return copy;
}
