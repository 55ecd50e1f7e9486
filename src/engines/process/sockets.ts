import { renameSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import path from "node:path";
import { SupervisorError } from "../../errors.ts";
import { handleOf } from "../../platform/node-inside.ts";
import type { Handle } from "../../platform/node-inside.ts";

/** A socket address holds 108 bytes with its final NUL; Node cuts off in silence. */
const LONGEST_PATH = 107;
/** One child may not use up the daemon's descriptors. */
const MAX_CONNECTIONS = 128;

let count = 0;

/** A name in this folder that no other socket of this daemon has. */
export function socketName(folder: string): string {
  const name = path.join(folder, (count++).toString(36));
  // Room for the letters that are added to it.
  if (Buffer.byteLength(name) + 2 <= LONGEST_PATH) return name;
  throw new SupervisorError(
    "INSTANCE_SPAWN_FAILED",
    "could not be started: the path of dataDir is too long for the sockets in it",
  );
}

function listen(server: Server, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ path: file, writableAll: true }, resolve);
  });
}

/** A listening socket made here for a child to inherit. */
export interface Entrance {
  path: string;
  handle: Handle;
  /** Gives up this process's own hold of it, once the child has it. */
  handOver(): void;
  remove(): void;
}

/** Nobody else can open it: its folder is closed to others, and there is no port. */
export async function openEntrance(name: string): Promise<Entrance> {
  const file = `${name}p`;
  const server = createServer();
  await listen(server, `${name}n`);
  // Node removes the name that it listened on when it closes.
  renameSync(`${name}n`, file);
  return {
    path: file,
    handle: handleOf(server),
    handOver: () => server.close(),
    remove: () => rmSync(file, { force: true }),
  };
}

export interface Reach {
  /** Port of this machine's loopback → the unix socket that leads to it. */
  sockets: ReadonlyMap<number, string>;
  close(): void;
}

/** Opens a way to each of these ports of this machine's loopback, and to nothing else. */
export async function openReach(name: string, ports: readonly number[]): Promise<Reach> {
  const sockets = new Map<number, string>();
  const closers: (() => void)[] = [];
  const close = () => closers.forEach((closer) => closer());
  try {
    for (const [index, port] of [...new Set(ports)].entries()) {
      const open = new Set<Socket>();
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        open.add(socket);
        socket.once("close", () => open.delete(socket));
        carry(socket, port);
      });
      server.maxConnections = MAX_CONNECTIONS;
      const file = `${name}${index.toString(36)}`;
      await listen(server, file);
      sockets.set(port, file);
      closers.push(() => {
        server.close();
        for (const socket of open) socket.destroy();
      });
    }
  } catch (error) {
    close();
    throw error;
  }
  return { sockets, close };
}

/** A service may listen on one of them only; Node itself takes either for "localhost". */
const LOOPBACK = ["127.0.0.1", "::1"];

function carry(from: Socket, port: number, [host, ...others] = LOOPBACK): void {
  const to = connect({ host, port, allowHalfOpen: true, noDelay: true });
  from.on("error", () => to.destroy());
  from.on("close", () => to.destroy());
  to.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ECONNREFUSED" && !from.destroyed && others.length > 0)
      carry(from, port, others);
    else from.destroy();
  });
  // Not before: what was written to a connection that is refused would be lost to the next.
  to.on("connect", () => {
    to.on("close", () => from.destroy());
    from.pipe(to);
    to.pipe(from);
  });
}
