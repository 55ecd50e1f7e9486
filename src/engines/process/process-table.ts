import { closeSync, openSync, readFileSync, readdirSync, readSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { SharedLook } from "./shared-look.ts";

export interface ProcessEntry {
  pid: number;
  ppid: number;
  group: number;
  session: number;
  isZombie: boolean;
  /** It is on its way out: the kernel says so before it closes the first of its descriptors. A zombie is, too. */
  isExiting: boolean;
  /** Tasks it consists of, which is what the limits of the system count. */
  threads: number;
  /** Clock ticks that it ran for. */
  ownTicks: number;
  /** Clock ticks that children of it ran for which have ended, theirs included. */
  reapedTicks: number;
  /** Clock ticks since boot: with the pid, the name of a process that is never used twice. */
  startTicks: number;
}

// Reading one entry takes 10 to 30 µs; a slice of 16 keeps other users' requests waiting for half a ms.
const SLICE = 16;
const buffer = Buffer.allocUnsafe(2048);
/** PF_EXITING of the kernel's flags. */
const EXITING = 0x4;

function readEntry(pid: number): ProcessEntry | undefined {
  let text: string;
  try {
    const fd = openSync(`/proc/${pid}/stat`, "r");
    try {
      text = buffer.toString("latin1", 0, readSync(fd, buffer));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // It ended between the listing and this read. Anything else (no descriptor left, say) must not
    // make a living process look gone.
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
  // The name in brackets is the program's own choice and may hold blanks and brackets: count from its end.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const isZombie = fields[0] === "Z" || fields[0] === "X";
  return {
    pid,
    ppid: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    isZombie,
    isExiting: isZombie || (Number(fields[6]) & EXITING) !== 0,
    threads: Number(fields[17]),
    ownTicks: Number(fields[11]) + Number(fields[12]),
    reapedTicks: Number(fields[13]) + Number(fields[14]),
    startTicks: Number(fields[19]),
  };
}

/** One process as it is now, undefined when there is none with this pid. Throws when /proc cannot be read. */
export function findProcess(pid: number): ProcessEntry | undefined {
  return readEntry(pid);
}

/** The processes that the main thread of this one has started, as long as they and it are there. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
    return text.split(" ").filter(Boolean).map(Number);
  } catch {
    // It ended, or the kernel was built without this file.
    return [];
  }
}

/** The pids of this machine, the oldest first until they begin anew. Throws when /proc cannot be read. */
export function listPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => name[0]! >= "1" && name[0]! <= "9")
    .map(Number);
}

async function scan(): Promise<ProcessEntry[]> {
  const pids = listPids();
  const table: ProcessEntry[] = [];
  for (let start = 0; start < pids.length; start += SLICE) {
    if (start > 0) await nextTurn();
    for (const pid of pids.slice(start, start + SLICE)) {
      const entry = readEntry(pid);
      if (entry) table.push(entry);
    }
  }
  return table;
}

const looks = new SharedLook(scan);

/**
 * Every process of this machine as it is from now on; those that come and go meanwhile may be missing.
 * Shared, see `SharedLook`. Rejects with the system's error when /proc cannot be read, as when no descriptor is left.
 */
export function readProcessTable(): Promise<ProcessEntry[]> {
  return looks.read();
}

/** As `readProcessTable`, but a scan under way is good enough: what it tells may be a few ms old. */
export function glanceProcessTable(): Promise<ProcessEntry[]> {
  return looks.glance();
}

/**
 * The living processes of the tree that `leader` started: its group, its session, and every
 * descendant of those, also one that went off into a session of its own. `strays` (pid → start)
 * are members seen earlier whose parent may be gone since.
 */
export function treeOf(
  leader: number,
  table: readonly ProcessEntry[],
  strays: ReadonlyMap<number, number> = new Map(),
): ProcessEntry[] {
  const isMember = new Set<number>();
  for (const { pid, group, session, startTicks } of table) {
    if (pid === leader || group === leader || session === leader || strays.get(pid) === startTicks)
      isMember.add(pid);
  }
  for (let grew = isMember.size > 0; grew;) {
    grew = false;
    for (const { pid, ppid } of table) {
      if (isMember.has(ppid) && !isMember.has(pid)) {
        isMember.add(pid);
        grew = true;
      }
    }
  }
  // A zombie holds nothing and runs nothing; where pid 1 does not reap, it stays for ever.
  return table.filter(({ pid, isZombie }) => isMember.has(pid) && !isZombie);
}

/** For how long the main thread of a process was not asleep. */
export interface Runnable {
  ranMs: number;
  /** Until it was its turn. */
  waitedMs: number;
}

/** Nothing for a process that is gone, or where the kernel does not say. */
export function runnableOf({ pid }: ProcessEntry): Runnable {
  try {
    const [ran, waited] = readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ");
    return { ranMs: Number(ran) / 1e6, waitedMs: Number(waited) / 1e6 };
  } catch {
    return { ranMs: 0, waitedMs: 0 };
  }
}
