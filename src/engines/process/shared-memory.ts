import { createReadStream, lstatSync, statSync, statfsSync } from "node:fs";
import type { Stats } from "node:fs";
import { opendir } from "node:fs/promises";
import { runAs } from "./as-account.ts";
import { INODE_BYTES, bytesOnFileSystem, deviceText } from "./held-memory.ts";
import { findTool } from "./programs.ts";
import { SharedLook } from "./shared-look.ts";
import type { HeldFiles } from "./held-memory.ts";

/** Where any account may leave files, on most machines; those on a disk are no memory. */
const FOLDERS = ["/dev/shm", "/tmp", "/dev/mqueue"];
/** tmpfs, and POSIX queues of messages (linux/magic.h). */
const MEMORY_SYSTEMS = [0x0102_1994, 0x1980_0202];

/** Files looked at in a row: some 0.3 ms of the event loop. */
const SLICE = 64;
/** Nobody's honest use. */
const MAX_DEPTH = 64;
/** What the kernel takes, less one name. */
const MAX_PATH = 4096 - 256;
/** A look at what is large takes no more than a tenth of the time. */
const REST = 9;

type Row = Readonly<Record<string, number>>;

/** The kinds of System V: the column with their number, what `ipcrm` calls it, and what one of them takes. */
const KINDS = {
  shm: { id: "shmid", option: "-m", bytes: (row: Row) => row["rss"]! + row["swap"]! },
  msg: { id: "msqid", option: "-q", bytes: (row: Row) => row["cbytes"]! },
  sem: { id: "semid", option: "-s", bytes: (row: Row) => row["nsems"]! * 64 },
} as const;
type Kind = keyof typeof KINDS;
const ALL_KINDS = Object.keys(KINDS) as Kind[];
/** Of these a command line takes so many. */
const IDS_AT_A_TIME = 500;

/** Folders of the account's own may be closed to it, too. */
const REMOVE = `uid=$1; shift
find "$@" -xdev -user "$uid" -type d -prune -exec chmod -R u+rwx {} + 2>/dev/null
find "$@" -xdev -user "$uid" -delete 2>/dev/null
:`;

const looks = new SharedLook(look);
let lastSeen: ReadonlyMap<number, number> = new Map();
let restsUntil = 0;

/**
 * Has a look at what accounts hold in memory of this machine that needs no process: files in folders
 * that are memory, System V segments, queues and semaphores. One for all who ask. Never rejects.
 */
export async function lookAtSharedMemory(): Promise<void> {
  if (performance.now() < restsUntil) return;
  await looks.glance();
}

/** What the account was last seen with. */
export function sharedMemoryOf(uid: number): HeldFiles {
  const devices = new Set(memoryFolders().map(({ dev }) => deviceText(dev)));
  return {
    bytes: lastSeen.get(uid) ?? 0,
    hasMapped: ({ device, name }) => devices.has(device) || name.startsWith("/SYSV"),
  };
}

/** Those of the accounts that hold something there now. */
export async function holdersOfSharedMemory(uids: Iterable<number>): Promise<number[]> {
  const seen = await looks.read();
  return [...uids].filter((uid) => seen.has(uid));
}

/**
 * Takes away what the account holds there, with its own rights: in folders of other accounts links
 * may take the place of what was seen. Nothing may run as it any more. Rejects when it cannot be done.
 */
export async function removeSharedMemory(uid: number): Promise<void> {
  if ((await holdersOfSharedMemory([uid])).length === 0) return;
  await runAs(uid, REMOVE, String(uid), ...memoryFolders().map(({ place }) => place));
  const ipcrm = findTool("ipcrm");
  const ids: string[][] = [];
  for (const kind of ALL_KINDS)
    for await (const row of rowsOf(kind))
      if (row["cuid"] === uid) ids.push([KINDS[kind].option, String(row[KINDS[kind].id])]);
  if (ipcrm === undefined) return;
  for (let first = 0; first < ids.length; first += IDS_AT_A_TIME)
    await runAs(uid, 'exec "$@"', ipcrm, ...ids.slice(first, first + IDS_AT_A_TIME).flat());
}

async function look(): Promise<ReadonlyMap<number, number>> {
  const begun = performance.now();
  const bytes = new Map<number, number>();
  const add = (uid: number, more: number) => void bytes.set(uid, (bytes.get(uid) ?? 0) + more);
  for (const { place, dev } of memoryFolders()) {
    const hiding = new Set<number>();
    await walk(Buffer.from(place), { dev, add, hide: (uid) => hiding.add(uid) });
    // It cannot be told how much that is, but not more than there is.
    for (const uid of hiding) add(uid, bytesOnFileSystem(place));
  }
  for (const kind of ALL_KINDS)
    for await (const row of rowsOf(kind)) add(row["cuid"]!, INODE_BYTES + KINDS[kind].bytes(row));
  const now = performance.now();
  restsUntil = now + (now - begun) * REST;
  lastSeen = bytes;
  return bytes;
}

/** Those of the folders that are memory here, with their device. */
function memoryFolders(): { place: string; dev: number }[] {
  return FOLDERS.flatMap((place) => {
    const found = statSync(place, { throwIfNoEntry: false });
    if (found === undefined || !MEMORY_SYSTEMS.includes(statfsSync(place).type)) return [];
    return [{ place, dev: found.dev }];
  });
}

interface Walk {
  dev: number;
  add: (uid: number, bytes: number) => void;
  /** What lies in a folder of this account's is not looked at. */
  hide: (uid: number) => void;
}

/** Paths are bytes here: a name that is no text is one to hide behind. */
async function walk(folder: Buffer, { dev, add, hide }: Walk, depth = 0): Promise<void> {
  try {
    // The types know of no names but strings.
    const options = { encoding: "buffer", bufferSize: SLICE } as object;
    for await (const { name } of await opendir(folder, options)) {
      const file = Buffer.concat([folder, Buffer.from("/"), name as unknown as Buffer]);
      const found = statOf(file);
      if (found?.dev !== dev) continue;
      // One with several names is met under each.
      const share = found.isFile() ? found.nlink : 1;
      add(found.uid, (INODE_BYTES + found.blocks * 512) / share);
      if (!found.isDirectory()) continue;
      if (depth >= MAX_DEPTH || file.length > MAX_PATH) hide(found.uid);
      else await walk(file, { dev, add, hide }, depth + 1);
    }
  } catch {
    // It was removed meanwhile, or there is no descriptor left: the next look comes soon.
  }
}

function statOf(file: Buffer): Stats | undefined {
  try {
    return lstatSync(file);
  } catch {
    return undefined;
  }
}

/** The kernel's list, by the names of its columns. */
async function* rowsOf(kind: Kind): AsyncGenerator<Row> {
  let columns: string[] | undefined;
  let rest = "";
  try {
    for await (const chunk of createReadStream(`/proc/sysvipc/${kind}`, "latin1")) {
      const lines = `${rest}${String(chunk)}`.split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const fields = line.trim().split(/ +/);
        if (columns === undefined) columns = fields;
        else yield Object.fromEntries(columns.map((name, index) => [name, Number(fields[index])]));
      }
    }
  } catch {
    // A kernel without it.
  }
}
