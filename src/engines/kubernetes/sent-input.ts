import { Writable } from "node:stream";
import { frameOf } from "./shim-frames.ts";

/** So much may be on its way before whoever writes has to wait. */
const WINDOW_BYTES = 1024 * 1024;
/** A frame has whole messages; many of them are sent in several. */
const FRAME_BYTES = 8 * 1024 * 1024;
const LF = 0x0a;

interface Sent {
  /** Of its first byte, among all that the child was sent by this daemon. */
  readonly offset: number;
  readonly payload: Buffer;
}

/**
 * What a child is told, until it has taken it. Each write is of whole messages, and goes out in frames of
 * whole ones; after a break what the shim has not received goes out again, and nothing else.
 */
export class SentInput {
  readonly stream: Writable;
  readonly #write: (frame: Buffer) => void;
  #sent: Sent[] = [];
  #offset = 0;
  #taken = 0;
  /** What the shim had received before this daemon sent anything. */
  #base: number | undefined;
  #waiting: (() => void) | undefined;

  constructor(write: (frame: Buffer) => void) {
    this.#write = write;
    this.stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        for (const part of partsOf(chunk)) this.#send(part);
        this.#waiting = done;
        this.#tell();
      },
    });
  }

  /** A connection begins, to a shim that has received so many bytes. */
  goOnFrom(received: number): void {
    if (this.#base === undefined) this.#base = received - this.#offset;
    const known = received - this.#base;
    for (const { offset, payload } of this.#sent)
      if (offset >= known) this.#write(frameOf("I", payload));
  }

  /** The child has read so many bytes more. */
  taken(bytes: number): void {
    this.#taken += bytes;
    this.#sent = this.#sent.filter(({ offset, payload }) => offset + payload.length > this.#taken);
    this.#tell();
  }

  close(): void {
    this.stream.destroy();
  }

  #send(payload: Buffer): void {
    this.#sent.push({ offset: this.#offset, payload });
    this.#offset += payload.length;
    this.#write(frameOf("I", payload));
  }

  #tell(): void {
    if (this.#offset - this.#taken > WINDOW_BYTES) return;
    const done = this.#waiting;
    this.#waiting = undefined;
    done?.();
  }
}

function* partsOf(chunk: Buffer): Iterable<Buffer> {
  for (let from = 0; from < chunk.length;) {
    const most = from + FRAME_BYTES;
    const end = most >= chunk.length ? chunk.length : chunk.lastIndexOf(LF, most) + 1;
    // One message that is longer than a frame is in its own.
    const to = end > from ? end : chunk.indexOf(LF, most) + 1 || chunk.length;
    yield chunk.subarray(from, to);
    from = to;
  }
}
