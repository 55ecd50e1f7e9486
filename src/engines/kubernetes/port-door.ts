import { rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { pipeline } from "node:stream";
import type { Duplex } from "node:stream";

/**
 * A unix socket that leads to the port of a child elsewhere, as that of a sandbox leads to one here: who
 * speaks HTTP need not know of the way. Only this daemon's account gets through it.
 */
export interface PortDoor {
  readonly path: string;
  close(): void;
}

export async function openPortDoor(path: string, dial: () => Duplex): Promise<PortDoor> {
  const open = new Set<Socket>();
  // What was refused elsewhere ends here, and the other way round.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    const far = dial();
    pipeline(socket, far, () => {});
    pipeline(far, socket, () => {});
  });
  rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  server.unref();
  return {
    path,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
