import { Duplex } from "node:stream";
import type { Server } from "node:http";
import type { Socket } from "node:net";

/** A connection within the process, to a server that takes it for an accepted one. */
export class Wire extends Duplex {
  override _read(): void {
    // What comes is pushed.
  }

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done();
  }

  /** As a socket has it. */
  destroySoon(): void {
    this.end(() => this.destroy());
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Turns of the event loop after which nothing within the process is under way any more. */
const TURNS = 3;

/** Sends the pieces on the wire, one behind the other, and resolves when nothing more comes of them. */
export async function sendPieces(
  server: Server,
  wire: Wire,
  pieces: readonly Buffer[],
): Promise<void> {
  wire.on("error", () => undefined);
  server.emit("connection", wire as unknown as Socket);
  for (const piece of pieces) {
    if (wire.destroyed) break;
    wire.push(piece);
    await turn();
  }
  for (let i = 0; i < TURNS; i++) await turn();
  wire.destroy();
}
