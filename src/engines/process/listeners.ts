import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from "node:fs";
import { readKernelAddress } from "../../platform/kernel-address.ts";
import type { Listeners } from "../engine.ts";

/** A listening socket as the kernel lists it: its address and the inode by which its holder is found. */
interface Socket {
  address: string;
  inode: string;
}

const LISTEN = "0A";
function readTable(path: string, port: number, found: Socket[]): void {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    // A kernel without IPv6 has no tcp6.
    return;
  }
  try {
    const wanted = port.toString(16).toUpperCase().padStart(4, "0");
    const buffer = Buffer.allocUnsafe(16_384);
    let rest = "";
    for (let isHeader = true; ;) {
      const length = readSync(fd, buffer);
      if (length === 0) return;
      const lines = (rest + buffer.toString("latin1", 0, length)).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (isHeader) {
          isHeader = false;
          continue;
        }
        const fields = line.trim().split(/\s+/);
        // The kernel lists listeners first: the thousands of connections behind them are never read.
        if (fields[3] !== LISTEN) return;
        const [hex, at] = fields[1]!.split(":");
        if (at === wanted) found.push({ address: readKernelAddress(hex!), inode: fields[9]! });
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** `process`: whose network is meant, as /proc names it. */
function socketsOn(port: number, process = "self"): Socket[] {
  const found: Socket[] = [];
  readTable(`/proc/${process}/net/tcp`, port, found);
  readTable(`/proc/${process}/net/tcp6`, port, found);
  return found;
}

/** Undefined where it cannot be told: the process is gone, or not ours to look into. */
function networkOf(pid: number | "self"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** Takes out of `sockets` the inodes this process holds, and gives them back. */
function takeHeldBy(pid: number, inodes: Set<string>): string[] {
  const held: string[] = [];
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      if (inodes.size === 0) break;
      let target: string;
      try {
        target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        continue;
      }
      const inode = target.startsWith("socket:[") ? target.slice(8, -1) : "";
      if (inodes.delete(inode)) held.push(inode);
    }
  } catch {
    // Gone, or another user's process, which is then not the one that is looked for.
  }
  return held;
}

/** Whether one of these processes listens on this port of a network that is not this machine's. */
export function listensInside(port: number, pids: readonly number[]): boolean {
  const outside = networkOf("self");
  const inside = pids.find((pid) => ![undefined, outside].includes(networkOf(pid)));
  if (inside === undefined) return false;
  const inodes = new Set(socketsOn(port, `${inside}`).map((socket) => socket.inode));
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
  const sockets = socketsOn(port);
  const unknown = new Set(sockets.map((socket) => socket.inode));
  const ours = new Set(takeHeldBy(leader, unknown));
  if (unknown.size > 0) {
    for (const pid of await tree()) for (const inode of takeHeldBy(pid, unknown)) ours.add(inode);
  }
  const addresses = (isOurs: boolean) =>
    sockets.filter(({ inode }) => ours.has(inode) === isOurs).map(({ address }) => address);
  return { ours: addresses(true), foreign: addresses(false) };
}

/**
 * Who listens on a port of this machine, in words for the admin (`pid 12 (python)`), undefined if nobody
 * does. Reads every process this user may look into: for the moment of a failure, not for polling.
 */
export function holderOf(port: number): string | undefined {
  const inodes = new Set(socketsOn(port).map((socket) => socket.inode));
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
