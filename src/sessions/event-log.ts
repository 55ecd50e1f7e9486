import type { Message } from "../mcp/envelope.ts";
import { messagesIn } from "../mcp/outcome.ts";
import { dataOf } from "../mcp/sse.ts";

/** What is longer is passed on, and not kept. */
export const MAX_EVENT_BYTES = 256 * 1024;
const MAX_SESSION_BYTES = 1024 * 1024;
const MAX_ALL_BYTES = 64 * 1024 * 1024;
/** What a place has at least, and for how much more than what it is made for, so that the next event fits in. */
const LEAST_BYTES = 256;
const ROOM = 1.25;
/** A place is kept for an event that takes this share of it at least. */
const LEAST_SHARE = 1 / 4;

/** A stream that a client may come back for. */
export interface LoggedStream {
  readonly name: string;
  /** The log has this event of it no more. */
  dropped(n: number, event: Saying): void;
}

/** What an event says, which few ask for: it is read from its text then. */
export interface Saying {
  readonly said: readonly Message[];
}

/** An event that went out to a client, or waits for one. */
export interface Logged extends Saying {
  /** As it goes out, without its id; latin1, which keeps every byte. */
  readonly text: string;
  readonly n: number;
}

/** The messages in an event that is as it goes out. */
function messagesOf(text: string): readonly Message[] {
  return messagesIn(Buffer.from(dataOf(Buffer.from(text, "latin1"))));
}

/** One of all that are kept. */
interface Kept {
  /** What it takes, in bytes. */
  readonly size: number;
  readonly log: { dropOldest(): void };
  older: Kept | undefined;
  newer: Kept | undefined;
}

/**
 * The place of one event in a log. The first one is kept as the text that it is; those that follow in
 * the same place are copied to bytes of the place's own, so that a session which says much leaves no
 * garbage that is old by then, which is the dear kind.
 */
class Entry<Stream> implements Logged, Kept {
  readonly log: { dropOldest(): void };
  stream: Stream | undefined;
  n: number;
  /** In the same log. */
  next: Entry<Stream> | undefined;
  older: Kept | undefined;
  newer: Kept | undefined;
  #text: string | undefined;
  #length: number;
  #bytes: Buffer | undefined;

  constructor(log: { dropOldest(): void }, stream: Stream | undefined, n: number, text: string) {
    this.log = log;
    this.stream = stream;
    this.n = n;
    this.#length = text.length;
    this.#text = text;
  }

  get size(): number {
    return this.#bytes?.length ?? this.#length;
  }

  get text(): string {
    return this.#text ?? this.#bytes!.toString("latin1", 0, this.#length);
  }

  get said(): readonly Message[] {
    return messagesOf(this.text);
  }

  /** What it held is in the log no more, and this takes its place. */
  renew(stream: Stream | undefined, n: number, text: string): void {
    this.stream = stream;
    this.n = n;
    this.#length = text.length;
    this.next = undefined;
    this.#text = undefined;
    this.#roomFor(text.length).write(text, "latin1");
  }

  #roomFor(length: number): Buffer {
    const has = this.#bytes?.length ?? 0;
    const isFit = length <= has && (has <= LEAST_BYTES || length >= has * LEAST_SHARE);
    if (!isFit)
      this.#bytes = Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, Math.ceil(length * ROOM)));
    return this.#bytes!;
  }
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
    this.#bytes += entry.size;
    entry.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    while (this.#bytes > this.#maxBytes && this.#oldest !== undefined)
      this.#oldest.log.dropOldest();
  }

  delete(entry: Kept): void {
    this.#bytes -= entry.size;
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
  add(stream: Stream, n: number, text: string): void {
    if (this.#maxEvents > 0) return this.#add(stream, n, text);
    stream.dropped(n, new Entry(this, stream, n, text));
  }

  /** An event (in pieces) that waits for a stream. */
  await(parts: readonly Buffer[]): void {
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    if (bytes > MAX_EVENT_BYTES || this.#maxEvents === 0) {
      this.hasLost = true;
      return;
    }
    this.#waiting += 1;
    const text = parts.map((part) => part.toString("latin1")).join("");
    this.#add(undefined, 0, text);
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
    this.#takeOldest();
  }

  /** Its place may be another's. */
  #takeOldest(): Entry<Stream> {
    const entry = this.#first!;
    this.#first = entry.next;
    if (this.#first === undefined) this.#last = undefined;
    this.#size -= 1;
    this.#bytes -= entry.size;
    this.#all.delete(entry);
    if (entry.stream !== undefined) entry.stream.dropped(entry.n, entry);
    else {
      this.#waiting -= 1;
      this.hasLost = true;
    }
    return entry;
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

  #add(stream: Stream | undefined, n: number, text: string): void {
    const entry = this.#placeFor(stream, n, text);
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    this.#size += 1;
    this.#bytes += entry.size;
    this.#all.add(entry);
    while (this.#bytes > MAX_SESSION_BYTES) this.dropOldest();
  }

  #placeFor(stream: Stream | undefined, n: number, text: string): Entry<Stream> {
    if (this.#size < this.#maxEvents) return new Entry(this, stream, n, text);
    const entry = this.#takeOldest();
    entry.renew(stream, n, text);
    return entry;
  }

  #entries(): Entry<Stream>[] {
    const entries: Entry<Stream>[] = [];
    for (let one = this.#first; one !== undefined; one = one.next) entries.push(one);
    return entries;
  }
}
