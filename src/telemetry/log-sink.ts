import { closeSync, constants, fstatSync, openSync, write, writeSync } from "node:fs";
import type { DestinationStream } from "pino";

/** How long a line may wait for others to be written with it; what a kill -9 can take from the log. */
const GATHER_MS = 25;
/** A reader that does not read, or a disk that is full, is tried again this often. */
const RETRY_MS = 250;
/** How long the end of the process waits for a reader that is slow. */
const LAST_WORDS_MS = 500;
const PAUSE_MS = 10;
/** What may wait for such a reader; lines beyond it are dropped and counted. */
const MAX_WAITING_BYTES = 1024 * 1024;
/** One system call, and one pass of the scrubber, takes no more than this. */
const MAX_BATCH_BYTES = 64 * 1024;

/**
 * The place that log lines go to. It never blocks the daemon: lines are gathered, written by a thread
 * of their own, and dropped where a full pipe or disk does not take them; how many is said in the log
 * as soon as it takes lines again.
 */
export class LogSink implements DestinationStream {
  readonly #target: number;
  readonly #scrub: (text: string) => string;
  readonly #waiting: string[] = [];
  #waitingBytes = 0;
  /** What is being written; the rest of a partial write goes on from here. */
  #batch: Buffer | undefined;
  #isWriting = false;
  #timer: NodeJS.Timeout | undefined;
  #dropped = 0;
  #reported = 0;

  /** See `openLogSink`. */
  constructor(target: number, scrub: (text: string) => string) {
    this.#target = target;
    this.#scrub = scrub;
  }

  /** Lines that were lost because nobody took them. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): void {
    if (this.#waitingBytes + line.length > MAX_WAITING_BYTES) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#writeIn(GATHER_MS);
  }

  /** Writes what waits, at the end of the process; gives up on a reader that does not read. */
  flush(): void {
    if (this.#isWriting) {
      // The thread has a part already, and nobody will be told how far it came: it gets the time
      // that a reader who reads leaves it to need, so that the last words come behind it.
      pause(PAUSE_MS);
      this.#batch = undefined;
    }
    const until = performance.now() + LAST_WORDS_MS;
    while ((this.#batch ??= this.#nextBatch()) !== undefined) {
      try {
        this.#wrote(writeSync(this.#target, this.#batch));
      } catch (error) {
        const isFull = (error as NodeJS.ErrnoException).code === "EAGAIN";
        if (!isFull || performance.now() > until) return;
        pause(PAUSE_MS);
      }
    }
  }

  #writeIn(ms: number): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writeOn();
    }, ms).unref();
  }

  #writeOn(): void {
    if (this.#isWriting) return;
    this.#batch ??= this.#nextBatch();
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#isWriting = true;
    write(this.#target, batch, 0, batch.length, null, (error, written) => {
      this.#isWriting = false;
      this.#settle(error, written);
    });
  }

  #settle(error: NodeJS.ErrnoException | null, written: number): void {
    if (this.#batch === undefined) return;
    if (error === null) {
      this.#wrote(written);
      if (this.#hasMore) this.#writeOn();
      return;
    }
    // Nobody will ever read it again (EPIPE), or it is no place to write to: the service goes on without.
    if (error.code !== "EAGAIN" && error.code !== "ENOSPC") this.#batch = undefined;
    if (this.#hasMore) this.#writeIn(RETRY_MS);
  }

  get #hasMore(): boolean {
    return this.#batch !== undefined || this.#waiting.length > 0;
  }

  #wrote(bytes: number): void {
    const batch = this.#batch!;
    this.#batch = bytes < batch.length ? batch.subarray(bytes) : undefined;
  }

  /** The next lines, scrubbed; before them the word of those that were lost. */
  #nextBatch(): Buffer | undefined {
    if (this.#dropped > this.#reported) {
      this.#waiting.unshift(lossLine(this.#dropped - this.#reported));
      this.#reported = this.#dropped;
    }
    if (this.#waiting.length === 0) return undefined;
    let take = 0;
    for (let size = 0; take < this.#waiting.length && size < MAX_BATCH_BYTES; take += 1)
      size += this.#waiting[take]!.length;
    const lines = this.#waiting.splice(0, take);
    for (const line of lines) this.#waitingBytes -= line.length;
    this.#waitingBytes = Math.max(this.#waitingBytes, 0);
    return Buffer.from(this.#scrub(lines.join("")));
  }
}

/**
 * A sink to this descriptor, flushed when the process ends. `scrub` is applied to whole lines, many
 * at a time, just before they are written.
 */
export function openLogSink(fd: number, scrub: (text: string) => string): LogSink {
  const target = withoutWaiting(fd);
  const sink = new LogSink(target, scrub);
  process.once("exit", () => {
    sink.flush();
    if (target !== fd) closeSync(target);
  });
  return sink;
}

/** Stands still: nothing else must happen at the end of the process. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function lossLine(count: number): string {
  const line = {
    level: "warn",
    timestamp: new Date().toISOString(),
    pid: process.pid,
    dropped: count,
    message: "log lines were dropped: whoever reads them was too slow, or the disk is full",
  };
  return `${JSON.stringify(line)}\n`;
}

/**
 * The pipe behind the descriptor, opened once more so that a full one answers "try again" and does
 * not hold a thread, or the end of the process, for as long as its reader sleeps. The flag must not
 * be set on the descriptor itself, which others (a shell, the children) may share. What is no pipe
 * cannot be opened twice, or does not wait.
 */
function withoutWaiting(fd: number): number {
  try {
    if (!fstatSync(fd).isFIFO()) return fd;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return fd;
  }
}
