import type { Writable } from "node:stream";
import { guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { oneLine } from "../mcp/one-line.ts";

interface ChildInputOptions {
  readonly stdin: Writable;
  /** Something of ours threw over what the child was to be told. */
  readonly onBroken: (failure: SupervisorError) => void;
}

const NEW_LINE = Buffer.from("\n");
const DONE = Promise.resolve();

/**
 * What a stdio child is told, one message a line, and which of those lines nobody has read: a request
 * in one of them cannot have happened.
 *
 * A line was not read where the system refused the write that it was in, where it has not gone out,
 * and, of the lines that went out last, where the pipe broke before its end was read: to a child that
 * is dead but not yet cleared away the system lets one write, and says afterwards that something was
 * left. Of the lines before that one nobody knows.
 */
export class ChildInput {
  readonly #stdin: Writable;
  readonly #sendLater: () => void;
  #lines: Buffer[] = [];
  #bytes = 0;
  /** What whoever wrote them calls those lines. */
  #ids: (number | undefined)[] = [];
  /** The line that went out last. */
  #last: number | undefined;
  /** A write is under way: what comes meanwhile waits here, so that it is known not to have gone out. */
  #isWriting = false;
  #isOver = false;
  #room: { readonly made: Promise<void>; readonly tell: () => void } | undefined;
  readonly #unread = new Set<number>();

  constructor({ stdin, onBroken }: ChildInputOptions) {
    this.#stdin = stdin;
    this.#sendLater = guarded("child", onBroken, () => this.#send());
    stdin.on("close", () => this.#room?.tell());
    stdin.on("error", ({ code, syscall }: NodeJS.ErrnoException) => {
      if (code === "ECONNRESET" && syscall === "read") this.#add(this.#last);
    });
  }

  /** The lines, by the ids that they were written under, that nobody has read, as far as that is known. */
  get unread(): ReadonlySet<number> {
    return this.#unread;
  }

  /**
   * Hands on one message. Resolves at once, or when the pipe has room again; rejects with
   * UPSTREAM_RESET when the child has closed it.
   *
   * The messages of one turn of the event loop leave in one write: with many sessions at work the
   * writes to their child are what its gateway does most.
   */
  write(message: Buffer, id?: number): Promise<void> {
    if (this.#isOver || !this.#stdin.writable) {
      this.#add(id);
      return Promise.reject(closed());
    }
    if (this.#lines.length === 0 && !this.#isWriting) setImmediate(this.#sendLater);
    this.#lines.push(oneLine(message), NEW_LINE);
    this.#bytes += message.length;
    this.#ids.push(id);
    // The child does not read: its clients wait, and nothing piles up here.
    return this.#isFull ? this.#roomMade() : DONE;
  }

  /** The child has ended: nothing that has not gone out will. */
  end(): void {
    this.#isOver = true;
    this.#takeBack(this.#take().ids);
  }

  get #isFull(): boolean {
    const { writableNeedDrain, writableHighWaterMark } = this.#stdin;
    return writableNeedDrain || (this.#isWriting && this.#bytes >= writableHighWaterMark);
  }

  #send(): void {
    if (this.#lines.length === 0 || this.#isOver) return;
    const { lines, ids } = this.#take();
    // Closed within this turn: the child has ended or is about to, and its exit tells everybody.
    if (!this.#stdin.writable) return this.#takeBack(ids);
    this.#last = ids.at(-1);
    this.#isWriting = true;
    this.#stdin.write(Buffer.concat(lines), this.#written);
    // Refused at once, and therefore whole; what fails later has gone out in part.
    if (this.#stdin.errored !== null) this.#takeBack(ids);
  }

  readonly #written = (error?: NodeJS.ErrnoException | null): void => {
    this.#isWriting = false;
    if (error?.syscall === "write") this.#add(this.#last);
    this.#sendLater();
    if (!this.#isFull) this.#room?.tell();
  };

  #take(): { lines: Buffer[]; ids: (number | undefined)[] } {
    const taken = { lines: this.#lines, ids: this.#ids };
    this.#lines = [];
    this.#ids = [];
    this.#bytes = 0;
    return taken;
  }

  #takeBack(ids: readonly (number | undefined)[]): void {
    for (const id of ids) this.#add(id);
  }

  #add(id: number | undefined): void {
    if (id !== undefined) this.#unread.add(id);
  }

  /** One promise for all that wait. */
  #roomMade(): Promise<void> {
    if (this.#room === undefined) {
      const { promise: made, resolve } = Promise.withResolvers<void>();
      const tell = (): void => {
        this.#room = undefined;
        resolve();
      };
      this.#room = { made, tell };
    }
    return this.#room.made;
  }
}

const closed = (): SupervisorError =>
  new SupervisorError("UPSTREAM_RESET", "the child has closed its input");
