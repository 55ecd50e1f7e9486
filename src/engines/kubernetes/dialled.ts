import { Duplex } from "node:stream";
import { callbackify } from "node:util";
import type { TLSSocket } from "node:tls";

type Open = (signal: AbortSignal) => Promise<{ readonly socket: TLSSocket }>;

/** A stream to what is still being connected to; what is written meanwhile waits. */
export function dialled(open: Open): Duplex {
  const ending = new AbortController();
  let socket: TLSSocket | undefined;
  const stream = new Duplex({
    allowHalfOpen: true,
    construct: (done) => {
      callbackify(async (): Promise<void> => {
        ({ socket } = await open(ending.signal));
        socket.on("data", (chunk: Buffer) => {
          if (!stream.push(chunk)) socket?.pause();
        });
        socket.on("end", () => stream.push(null));
        socket.on("error", (error) => stream.destroy(error));
        socket.on("close", () => stream.destroy());
      })(done);
    },
    read: () => void socket?.resume(),
    write: (chunk: Buffer, _encoding, done) => void socket!.write(chunk, done),
    final: (done) => void socket!.end(done),
    destroy: (error, done) => {
      ending.abort(new Error("the connection was given up"));
      socket?.destroy();
      done(error);
    },
  });
  return stream;
}
