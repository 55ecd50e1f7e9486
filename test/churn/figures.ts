import { existsSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";
import type { Heap } from "./tells-heap.ts";

/** What is open at one moment, by what it is; all of it goes down to what it was when nobody is there. */
export type Open = Record<string, number>;

export interface Watched {
  pid: number;
  /** Of the gateway. */
  port: number;
  controlSocket: string;
  /** Where the daemon writes its heap to. */
  heapFile: string;
}

export interface Child {
  server: string;
  pid: number;
  /** Null where it speaks over stdio. */
  port: number | null;
}

export async function fromControl(socketPath: string, path: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const headers = { host: "localhost" };
    const req = request({ socketPath, path, headers, agent: false }, (res) => resolve(text(res)));
    req.on("error", reject).end();
  });
}

/** ESTABLISHED, and CLOSE_WAIT: the other end has left, and nobody has closed this one. */
const OPEN_STATES = ["01", "08"];

/** Sockets of this machine that are open at the port, listeners not among them. */
function socketsAt(port: number): number {
  const end = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return ["/proc/net/tcp", "/proc/net/tcp6"]
    .flatMap((file) => readFileSync(file, "utf8").split("\n"))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(end) && OPEN_STATES.includes(state!)).length;
}

/** The descriptors of a process, and those of them that are sockets. */
function filesOf(pid: number): { files: number; sockets: number } {
  const links = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      // Closed between the two looks.
      return [];
    }
  });
  return {
    files: links.length,
    sockets: links.filter((link) => link.startsWith("socket:")).length,
  };
}

/** Everything that clients who came and went could have left behind, but for the heap. */
export async function openNow(
  { pid, port, controlSocket }: Watched,
  children: readonly Child[],
): Promise<Open> {
  const metrics = await fromControl(controlSocket, "/metrics");
  const metric = (name: string): number =>
    Number(new RegExp(`^mcp_supervisor_${name} (\\d+)$`, "m").exec(metrics)?.[1]);
  const { instances } = JSON.parse(await fromControl(controlSocket, "/api/status")) as {
    instances: { sessions: number; inFlight: number }[];
  };
  const sum = (of: (one: (typeof instances)[number]) => number): number =>
    instances.reduce((total, one) => total + of(one), 0);
  const open: Open = {
    "sessions in the gateway": metric("sessions"),
    "sessions at instances": sum(({ sessions }) => sessions),
    "calls under way": sum(({ inFlight }) => inFlight),
    "streams in the gateway": metric("streams"),
    "requests in the gateway": metric("requests_in_flight"),
    "connections of the gateway": socketsAt(port),
    instances: instances.length,
  };
  for (const child of children) {
    const { files, sockets } = filesOf(child.pid);
    open[`files of the ${child.server} child`] = files;
    open[`sockets of the ${child.server} child`] = sockets;
    if (child.port === null) continue;
    // Some are kept for a next message, and closed when none comes.
    open[`connections to the ${child.server} child`] = socketsAt(child.port);
    const stats = JSON.parse((await ask(child.port, { path: "/stats" })).body) as Open;
    open[`streams at the ${child.server} child`] = stats["openSse"]! + stats["mcpStreams"]!;
  }
  // Last, when the connection to the control socket is closed again.
  const { files, sockets } = filesOf(pid);
  return { ...open, "files of the daemon": files, "sockets of the daemon": sockets };
}

/** What is left in the daemon's heap when its garbage is collected. */
export async function heapOf({ pid, heapFile }: Watched): Promise<number> {
  const read = (): Heap =>
    existsSync(heapFile)
      ? (JSON.parse(readFileSync(heapFile, "utf8")) as Heap)
      : { turn: 0, usedBytes: 0 };
  const { turn } = read();
  process.kill(pid, "SIGUSR2");
  const heap = await until(() => {
    const now = read();
    return now.turn > turn ? now : undefined;
  }, "the daemon has told its heap");
  return heap.usedBytes;
}

export const rssOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
