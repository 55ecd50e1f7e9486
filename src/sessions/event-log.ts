import type { Message } from "../mcp/envelope.ts";

/** What is longer is passed on, and not kept. */
export const MAX_EVENT_BYTES = 256 * 1024;
const MAX_SESSION_BYTES = 1024 * 1024;
const MAX_ALL_BYTES = 64 * 1024 * 1024;

/** A stream that a client may come back for. */
export interface LoggedStream {
  readonly name: string;
  /** The log has this event of it no more. */
  dropped(n: number, said: readonly Message[]): void;
}

/** An event that went out to a client, or waits for one. */
export interface Logged {
  /** As it goes out, without its id; latin1, which keeps every byte. */
  readonly text: string;
  readonly said: readonly Message[];
  readonly n: number;
}

/** One of all that are kept. */
interface Kept {
  readonly text: string;
  readonly log: { dropOldest(): void };
  older: Kept | undefined;
  newer: Kept | undefined;
}

interface Entry<Stream> extends Logged, Kept {
  stream: Stream | undefined;
  n: number;
  /** In the same log. */
  next: Entry<Stream> | undefined;
}

/** The events that are kept for clients that may come back, of all sessions: the oldest go first. */
export class EventLogs {
  readonly #maxBytes: number;
  #bytes = 0;
  #oldest: Kept | undefined;
  #newest: Kept | undefined;

  constructor(maxBytes = MAX_ALL_BYTES) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(entry: Kept): void {
    this.#bytes += entry.text.length;
    entry.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    while (this.#bytes > this.#maxBytes && this.#oldest !== undefined)
      this.#oldest.log.dropOldest();
  }

  delete(entry: Kept): void {
    this.#bytes -= entry.text.length;
    const { older, newer } = entry;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    entry.older = undefined;
    entry.newer = undefined;
  }
}

/**
 * The last events of one session, on all its streams: those that went out, for a client that comes
 * back and did not get them, and those that wait because no stream is open.
 */
export class EventLog<Stream extends LoggedStream = LoggedStream> {
  readonly #all: EventLogs;
  readonly #maxEvents: number;
  #first: Entry<Stream> | undefined;
  #last: Entry<Stream> | undefined;
  #size = 0;
  #bytes = 0;
  #waiting = 0;
  /** Something that waited for a stream is not kept any more. */
  hasLost = false;

  constructor(all: EventLogs, maxEvents: number) {
    this.#all = all;
    this.#maxEvents = maxEvents;
  }

  /** An event of a stream, as latin1, of MAX_EVENT_BYTES at most; dropped at once where none is kept. */
  add(stream: Stream, n: number, text: string, said: readonly Message[]): void {
    if (this.#maxEvents === 0) return stream.dropped(n, said);
    this.#add(stream, n, text, said);
  }

  /** An event (in pieces) that waits for a stream. */
  await(parts: readonly Buffer[], said: readonly Message[]): void {
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    if (bytes > MAX_EVENT_BYTES || this.#maxEvents === 0) {
      this.hasLost = true;
      return;
    }
    this.#waiting += 1;
    const text = parts.map((part) => part.toString("latin1")).join("");
    this.#add(undefined, 0, text, said);
  }

  /** What is kept of that stream behind its event `n`, in order. */
  after(stream: Stream, n: number): Logged[] {
    return this.#entries().filter((entry) => entry.stream === stream && entry.n > n);
  }

  /** Those that wait belong to this stream from now on; `numberOf` numbers them. */
  claim(stream: Stream, numberOf: (said: readonly Message[]) => number): Logged[] {
    if (this.#waiting === 0) return [];
    const waiting = this.#entries().filter((entry) => entry.stream === undefined);
    for (const entry of waiting) {
      entry.stream = stream;
      entry.n = numberOf(entry.said);
    }
    this.#waiting = 0;
    return waiting;
  }

  /** The stream of that name, as long as something of it is kept. */
  find(name: string): Stream | undefined {
    return this.#entries().find(({ stream }) => stream?.name === name)?.stream;
  }

  dropOldest(): void {
    const entry = this.#first!;
    this.#first = entry.next;
    if (this.#first === undefined) this.#last = undefined;
    this.#size -= 1;
    this.#bytes -= entry.text.length;
    this.#all.delete(entry);
    if (entry.stream !== undefined) return entry.stream.dropped(entry.n, entry.said);
    this.#waiting -= 1;
    this.hasLost = true;
  }

  /** The session is over. */
  close(): void {
    for (const entry of this.#entries()) this.#all.delete(entry);
    this.#first = undefined;
    this.#last = undefined;
    this.#size = 0;
    this.#bytes = 0;
    this.#waiting = 0;
  }

  #add(stream: Stream | undefined, n: number, text: string, said: readonly Message[]): void {
    // One literal: it is made for every event.
    const entry: Entry<Stream> = {
      log: this,
      stream,
      n,
      text,
      said,
      next: undefined,
      older: undefined,
      newer: undefined,
    };
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    this.#size += 1;
    this.#bytes += entry.text.length;
    this.#all.add(entry);
    while (this.#size > this.#maxEvents || this.#bytes > MAX_SESSION_BYTES) this.dropOldest();
  }

  #entries(): Entry<Stream>[] {
    const entries: Entry<Stream>[] = [];
    for (let one = this.#first; one !== undefined; one = one.next) entries.push(one);
    return entries;
  }
}
