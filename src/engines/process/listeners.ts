import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { readKernelAddress } from "../../platform/kernel-address.ts";
import { childrenOf } from "./process-table.ts";
import type { Listeners } from "../engine.ts";

/** A listening socket as the kernel lists it: its address and the inode by which its holder is found. */
interface Socket {
  address: string;
  inode: string;
}

const LISTEN = "0A";

async function readTable(path: string, port: number): Promise<Socket[]> {
  // A kernel without IPv6 has no tcp6.
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return [];
  try {
    return await listenersIn(file, port);
  } finally {
    await file.close();
  }
}

async function listenersIn(file: FileHandle, port: number): Promise<Socket[]> {
  const found: Socket[] = [];
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  const buffer = Buffer.allocUnsafe(16_384);
  let rest = "";
  for (let isHeader = true; ;) {
    const { bytesRead } = await file.read(buffer);
    if (bytesRead === 0) return found;
    const lines = (rest + buffer.toString("latin1", 0, bytesRead)).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (isHeader) {
        isHeader = false;
        continue;
      }
      const fields = line.trim().split(/\s+/);
      // The kernel lists listeners first: the thousands of connections behind them are never read.
      if (fields[3] !== LISTEN) return found;
      const [hex, at] = fields[1]!.split(":");
      if (at === wanted) found.push({ address: readKernelAddress(hex!), inode: fields[9]! });
    }
  }
}

/**
 * `process`: whose network is meant, as /proc names it. Where there are few connections the kernel
 * walks all of its table to fill one read, which takes milliseconds: elsewhere than on the main thread.
 */
async function socketsOn(port: number, process = "self"): Promise<Socket[]> {
  const tables = ["tcp", "tcp6"].map((name) => readTable(`/proc/${process}/net/${name}`, port));
  return (await Promise.all(tables)).flat();
}

/** Undefined where it cannot be told: the process is gone, or not ours to look into. */
function networkOf(pid: number | "self"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** The inodes of all sockets that this process holds. */
function* inodesOf(pid: number): Generator<string> {
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const target = targetOf(`/proc/${pid}/fd/${fd}`);
      if (target.startsWith("socket:[")) yield target.slice(8, -1);
    }
  } catch {
    // Gone, or another user's process, which is then not the one that is looked for.
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}

/** Takes out of `inodes` those that this process holds, and gives them back. */
function takeHeldBy(pid: number, inodes: Set<string>): string[] {
  const held: string[] = [];
  if (inodes.size === 0) return held;
  for (const inode of inodesOf(pid)) {
    if (inodes.delete(inode)) held.push(inode);
    if (inodes.size === 0) break;
  }
  return held;
}

/** Whether one of these processes listens on this port of a network that is not this machine's. */
export async function listensInside(port: number, pids: readonly number[]): Promise<boolean> {
  const outside = networkOf("self");
  const inside = pids.find((pid) => ![undefined, outside].includes(networkOf(pid)));
  if (inside === undefined) return false;
  const sockets = await socketsOn(port, `${inside}`);
  const inodes = new Set(sockets.map((socket) => socket.inode));
  // A socket that is listed still, and that nobody holds, is one that the kernel is about to close.
  return pids.some((pid) => takeHeldBy(pid, inodes).length > 0);
}

/**
 * The listeners on a port of this machine, told apart by whether a process of the tree holds the socket.
 * `tree` is asked only when the leader itself does not hold them all, because it reads every process.
 */
export async function listenersOn(
  port: number,
  leader: number,
  tree: () => Promise<readonly number[]>,
): Promise<Listeners> {
  const sockets = await socketsOn(port);
  const unknown = new Set(sockets.map((socket) => socket.inode));
  const ours = new Set(takeHeldBy(leader, unknown));
  if (unknown.size > 0) {
    for (const pid of await tree()) for (const inode of takeHeldBy(pid, unknown)) ours.add(inode);
  }
  const addresses = (isOurs: boolean) =>
    sockets.filter(({ inode }) => ours.has(inode) === isOurs).map(({ address }) => address);
  return { ours: addresses(true), foreign: addresses(false) };
}

/** What was seen is seen again after so long, whatever the child does: something of it may have left its tree, or somebody else may have come. */
const LOOK_AGAIN_MS = 100;
/** Between the making of a socket and the moment when it listens. */
const UNTIL_LISTENING_MS = 20;

/**
 * Looks for the first listener of a child that is on its way up. Which sockets its processes hold is
 * seen in microseconds, who listens in milliseconds: that is asked when they hold others than before,
 * and now and then.
 */
export class ListenerLook {
  readonly #leader: number;
  readonly #ask: () => Promise<Listeners>;
  readonly #now: () => number;
  #sockets: string | undefined;
  #changedAt = -Infinity;
  #seenAt = -Infinity;
  #seen: Listeners = { ours: [], foreign: [] };

  constructor(leader: number, ask: () => Promise<Listeners>, now = () => performance.now()) {
    this.#leader = leader;
    this.#ask = ask;
    this.#now = now;
  }

  /** None of the child's is as it was more than a moment ago: that it listens still is asked each time. */
  async look(): Promise<Listeners> {
    const sockets = socketsBelow(this.#leader);
    const now = this.#now();
    // Those that it begins with are its pipes.
    if (sockets !== this.#sockets && this.#sockets !== undefined) this.#changedAt = now;
    this.#sockets = sockets;
    const isQuiet = now - this.#changedAt > UNTIL_LISTENING_MS;
    const isSeen = now - this.#seenAt < LOOK_AGAIN_MS && this.#seen.ours.length === 0;
    if (isQuiet && isSeen) return this.#seen;
    this.#seen = await this.#ask();
    this.#seenAt = now;
    return this.#seen;
  }
}

/** The sockets that a process and all below it hold, as far as these are found without a look at all that there are. */
function socketsBelow(leader: number): string {
  const pids = [leader];
  const inodes: string[] = [];
  for (const pid of pids) {
    inodes.push(...inodesOf(pid));
    pids.push(...childrenOf(pid));
  }
  return inodes.join(" ");
}

/**
 * Who listens on a port of this machine, in words for the admin (`pid 12 (python)`), undefined if nobody
 * does. Reads every process this user may look into: for the moment of a failure, not for polling.
 */
export async function holderOf(port: number): Promise<string | undefined> {
  const inodes = new Set((await socketsOn(port)).map((socket) => socket.inode));
  if (inodes.size === 0) return undefined;
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || takeHeldBy(pid, inodes).length === 0) continue;
    return `pid ${pid}${nameOf(pid)}`;
  }
  return "another user's process";
}

function nameOf(pid: number): string {
  try {
    return ` (${readFileSync(`/proc/${pid}/comm`, "utf8").trim()})`;
  } catch {
    return "";
  }
}
