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

export interface LogSink extends DestinationStream {
  /** Writes what waits, at the end of the process; gives up on a reader that does not read. */
  flush(): void;
  /** Lines that were lost because nobody took them. */
  readonly dropped: number;
}

/**
 * The place that log lines go to. It never blocks the daemon: lines are gathered, written by a thread
 * of their own, and dropped where a full pipe or disk does not take them; how many is said in the log
 * as soon as it takes lines again.
 *
 * `scrub` is applied to whole lines, many at a time, just before they are written.
 */
export function openLogSink(fd: number, scrub: (text: string) => string): LogSink {
  const target = withoutWaiting(fd);
  let waiting: string[] = [];
  let waitingBytes = 0;
  /** What is being written; the rest of a partial write goes on from here. */
  let batch: Buffer | undefined;
  let isWriting = false;
  let timer: NodeJS.Timeout | undefined;
  let dropped = 0;
  let reported = 0;

  const later = (ms: number): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      writeOn();
    }, ms).unref();
  };

  const nextBatch = (): Buffer | undefined => {
    if (dropped > reported) {
      const count = dropped - reported;
      reported = dropped;
      waiting.unshift(lossLine(count));
    }
    if (waiting.length === 0) return undefined;
    let take = 0;
    for (let size = 0; take < waiting.length && size < MAX_BATCH_BYTES; take += 1)
      size += waiting[take]!.length;
    const lines = waiting.splice(0, take);
    for (const line of lines) waitingBytes -= line.length;
    waitingBytes = Math.max(waitingBytes, 0);
    return Buffer.from(scrub(lines.join("")));
  };

  const writeOn = (): void => {
    if (isWriting) return;
    batch ??= nextBatch();
    if (batch === undefined) return;
    isWriting = true;
    write(target, batch, 0, batch.length, null, (error, written) => {
      isWriting = false;
      settle(error, written);
    });
  };

  const settle = (error: NodeJS.ErrnoException | null, written: number): void => {
    if (batch === undefined) return;
    if (error === null) {
      batch = written < batch.length ? batch.subarray(written) : undefined;
      if (batch !== undefined || waiting.length > 0) writeOn();
      return;
    }
    // Nobody will ever read it again (EPIPE), or it is no place to write to: the service goes on without.
    if (error.code !== "EAGAIN" && error.code !== "ENOSPC") batch = undefined;
    if (batch !== undefined || waiting.length > 0) later(RETRY_MS);
  };

  const sink: LogSink = {
    write(line) {
      if (waitingBytes + line.length > MAX_WAITING_BYTES) {
        dropped += 1;
        return;
      }
      waiting.push(line);
      waitingBytes += line.length;
      later(GATHER_MS);
    },
    flush() {
      if (isWriting) {
        // The thread has a part already, and nobody will be told how far it came: it gets the time
        // that a reader who reads leaves it to need, so that the last words come behind it.
        pause(PAUSE_MS);
        batch = undefined;
      }
      const until = performance.now() + LAST_WORDS_MS;
      while ((batch ??= nextBatch()) !== undefined) {
        try {
          const written = writeSync(target, batch);
          batch = written < batch.length ? batch.subarray(written) : undefined;
        } catch (error) {
          const isFull = (error as NodeJS.ErrnoException).code === "EAGAIN";
          if (!isFull || performance.now() > until) return;
          pause(PAUSE_MS);
        }
      }
    },
    get dropped() {
      return dropped;
    },
  };
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
