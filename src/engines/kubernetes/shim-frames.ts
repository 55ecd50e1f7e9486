/** A frame: a byte that says its kind, four of its length, and as many more. */
export type FrameKind = "J" | "I" | "O" | "E";

const HEAD_BYTES = 5;
const MAX_BYTES = 16 * 1024 * 1024 + 64 * 1024;

export function frameOf(kind: FrameKind, payload: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.write(kind, 0, "latin1");
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

export const jsonFrame = (value: object): Buffer =>
  frameOf("J", Buffer.from(JSON.stringify(value)));

/** Takes bytes as they come, and gives whole frames. */
export class FrameReader {
  readonly #take: (kind: string, payload: Buffer) => void;
  #parts: Buffer[] = [];
  #bytes = 0;
  #wanted = HEAD_BYTES;

  constructor(take: (kind: string, payload: Buffer) => void) {
    this.#take = take;
  }

  /** Throws a RangeError for a frame longer than any. */
  push(chunk: Buffer): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#wanted) return;
    let all = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts);
    while (all.length >= HEAD_BYTES) {
      const length = all.readUInt32BE(1);
      if (length > MAX_BYTES) throw new RangeError(`a frame of ${length} bytes`);
      const end = HEAD_BYTES + length;
      if (all.length < end) break;
      this.#take(String.fromCharCode(all[0]!), all.subarray(HEAD_BYTES, end));
      all = all.subarray(end);
    }
    this.#wanted = all.length < HEAD_BYTES ? HEAD_BYTES : HEAD_BYTES + all.readUInt32BE(1);
    this.#parts = all.length === 0 ? [] : [all];
    this.#bytes = all.length;
  }
}
