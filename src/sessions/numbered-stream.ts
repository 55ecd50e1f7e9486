import { isResponse } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { LF, CR } from "../mcp/bytes.ts";
import { messagesIn } from "../mcp/outcome.ts";
import { messageEvent } from "../mcp/sse.ts";
import { nextNumber } from "./event-id.ts";
import { MAX_EVENT_BYTES } from "./event-log.ts";
import type { EventLog, Logged, LoggedStream, Saying } from "./event-log.ts";
import type { Outlet } from "./outlet.ts";

/** Of answers that are kept no more, and that a client which is away may miss. */
const MAX_MISSED = 1_000;
const EMPTY_EVENT = "data: \n\n";
const NONE_MISSED: Missed[] = [];

export interface NumberedStreamOptions {
  /** What its ids begin with. */
  readonly name: string;
  readonly log: EventLog<NumberedStream>;
  /** Of a POST's stream: the ids (JSON text) of the requests that it answers, and is over with. */
  readonly asked?: readonly string[] | undefined;
  /** The number of the last event that it had in an earlier life. */
  readonly n?: number;
}

/** How a client comes back. */
export interface Return {
  /** The number of the last event that it has. */
  readonly after: number;
  /** What is said (JSON text) where it has missed what is not kept. */
  readonly makeGood: () => readonly string[];
  /** Answers a request (its id, as JSON text) whose answer it has missed. */
  readonly missed: (id: string) => string;
  /** It hears first, by an event without data, where it goes on. */
  readonly isPrimed?: boolean;
}

interface Missed {
  readonly n: number;
  readonly id: string;
}

/** An event of which parts have gone out. */
interface Open {
  /** What has come of it; undefined where that is too long to be kept. */
  parts: Buffer[] | undefined;
  bytes: number;
  /** Who has had all of them. */
  readonly outlet: Outlet | undefined;
}

/**
 * An event stream of a session towards its client that outlives its connection: each event with data
 * has an id of the gateway's and is kept in the session's log, whether somebody reads it or not, so
 * that a client which comes back with the last id that it has gets the rest.
 */
export class NumberedStream implements LoggedStream {
  readonly name: string;
  readonly #log: EventLog<NumberedStream>;
  /** Of a POST: what is not answered yet. */
  readonly #asked: string[] | undefined;
  /** The client's end, while it is there. */
  #outlet: Outlet | undefined;
  #n: number;
  /** The last that went out to somebody. */
  #sent = 0;
  /** The last that is kept no more. */
  #dropped = 0;
  /** Of that, the answers that nobody may have had. */
  #missed: Missed[] = NONE_MISSED;
  #tellMissed: ((id: string) => string) | undefined;
  #open: Open | undefined;
  #resume: (() => void) | undefined;

  constructor({ name, log, asked, n = 0 }: NumberedStreamOptions) {
    this.name = name;
    this.#n = n;
    this.#log = log;
    this.#asked = asked && [...asked];
  }

  /** A client reads it. */
  get isAttached(): boolean {
    return this.#outlet !== undefined;
  }

  get isOfPost(): boolean {
    return this.#asked !== undefined;
  }

  /** Of a POST's: the requests that it has no answer to. */
  get unanswered(): readonly string[] {
    return this.#asked === undefined ? [] : [...this.#asked];
  }

  get isMidEvent(): boolean {
    return this.#open !== undefined;
  }

  get unread(): number {
    return this.#outlet?.unread ?? 0;
  }

  /** The number behind which a client goes on that does not say what it has. */
  get sent(): number {
    return this.#sent;
  }

  /** The id of its event of that number. */
  idOf(n: number): string {
    return `${this.name}.${n}`;
  }

  /** From now on the client hears it here, from its beginning. */
  begin(outlet: Outlet): void {
    this.#outlet = outlet;
  }

  /** Says that the client may come back for it, before anything else. */
  prime(n = 0): void {
    this.#outlet?.event(this.#idLine(n), EMPTY_EVENT);
  }

  /** The client goes on here, behind the event that it names; who has heard it so far hears no more. */
  goOn(outlet: Outlet, back: Return): void {
    this.hangUp();
    this.#outlet = outlet;
    if (back.isPrimed === true) this.prime(Math.max(back.after, 0));
    this.catchUp(back);
  }

  /** Who hears it gets what came behind that event, and what waits for a stream. */
  catchUp({ after, makeGood, missed }: Return): void {
    this.#tellMissed = missed;
    const texts = this.#takeGap(after) ? makeGood().map((text) => Buffer.from(text)) : [];
    const covered = new Set(texts.flatMap((text) => messagesIn(text)).map(({ method }) => method));
    for (const event of this.#log.after(this, after)) this.#repeat(event, covered);
    if (this.#asked === undefined)
      for (const event of this.#log.claim(this, (said) => this.#number(said)))
        this.#repeat(event, covered);
    for (const text of texts) this.say(text);
    const gone = this.#missed.filter(({ n }) => n > after);
    this.#missed = [];
    for (const { id } of gone) this.say(Buffer.from(missed(id)));
  }

  /**
   * Takes a part of an event; `said` are the messages in it where it has data, known with its last
   * part. False asks for a pause.
   */
  part(bytes: Buffer, isLast: boolean, said?: readonly Message[]): boolean {
    if (!isLast || this.#open !== undefined) return this.#piece(bytes, isLast, said);
    if (said === undefined) return this.#outlet?.part(bytes, true) ?? true;
    return this.#event(bytes, said);
  }

  /** Puts one message on it; the connection ends where an event was cut in the middle, and the client has to come back. */
  say(json: Buffer, message?: Message): boolean {
    if (this.#open !== undefined) this.hangUp();
    this.#open = undefined;
    return this.#event(messageEvent(json), message === undefined ? messagesIn(json) : [message]);
  }

  /** Calls back once, when there is room again after a pause was asked for, or nobody reads it any more. */
  onceDrained(resume: () => void): void {
    if (this.#outlet === undefined) return resume();
    this.#resume = resume;
    this.#outlet.onceDrained(() => this.#drained());
  }

  /** Whether this was the client's end; if so, nobody reads it from now on. */
  leave(outlet: Outlet): boolean {
    if (this.#outlet !== outlet) return false;
    this.#outlet = undefined;
    this.#drained();
    return true;
  }

  /** Ends the connection; the client may come back for what is kept. */
  hangUp(): void {
    const outlet = this.#outlet;
    if (outlet === undefined) return;
    this.leave(outlet);
    outlet.end();
  }

  dropped(n: number, event: Saying): void {
    this.#dropped = Math.max(this.#dropped, n);
    // Whoever reads it has had what is so old.
    if (this.#outlet !== undefined && n < this.#n) return;
    const missed = event.said.filter(isResponse).map(({ id }) => ({ n, id: id! }));
    if (missed.length > 0) this.#missed = [...this.#missed, ...missed].slice(-MAX_MISSED);
  }

  /** Whether something that the client may not have is kept no more. */
  #takeGap(after: number): boolean {
    if (this.#asked !== undefined) return false;
    const hasGap = after < this.#dropped || this.#log.hasLost;
    this.#log.hasLost = false;
    return hasGap;
  }

  #event(bytes: Buffer, said: readonly Message[]): boolean {
    const n = this.#number(said);
    if (bytes.length > MAX_EVENT_BYTES) return this.#sendUnkept(n, bytes, said);
    // The log and the connection want the same text, so it is made once.
    const text = bytes.toString("latin1");
    this.#log.add(this, n, text);
    return this.#send(n, text);
  }

  #send(n: number, text: string): boolean {
    if (this.#outlet === undefined) return true;
    this.#sent = n;
    return this.#outlet.event(this.#idLine(n), text);
  }

  #sendUnkept(n: number, bytes: Buffer, said: readonly Message[]): boolean {
    this.dropped(n, { said });
    if (this.#outlet === undefined) return true;
    this.#sent = n;
    this.#outlet.part(Buffer.from(this.#idLine(n)), false);
    return this.#outlet.part(bytes, true);
  }

  #repeat(event: Logged, covered: ReadonlySet<string | undefined>): void {
    const method = covered.size === 0 ? undefined : event.said[0]?.method;
    if (method !== undefined && covered.has(method)) return;
    this.#send(event.n, event.text);
  }

  /** A part of an event that comes in several: the id goes out with the last. */
  #piece(bytes: Buffer, isLast: boolean, said: readonly Message[] | undefined): boolean {
    this.#open ??= { parts: [], bytes: 0, outlet: this.#outlet };
    const open = this.#open;
    open.bytes += bytes.length;
    if (open.bytes > MAX_EVENT_BYTES) open.parts = undefined;
    // What came is a piece of a read of the socket, all of which would be kept.
    else open.parts?.push(isLast ? bytes : Buffer.from(bytes));
    const outlet = open.outlet === this.#outlet ? this.#outlet : undefined;
    if (!isLast) return outlet?.part(bytes, false) ?? true;
    this.#open = undefined;
    if (said === undefined) return outlet?.part(bytes, true) ?? true;
    return this.#close(open, outlet, bytes, said);
  }

  #close(open: Open, outlet: Outlet | undefined, last: Buffer, said: readonly Message[]): boolean {
    const n = this.#number(said);
    const whole = open.parts && Buffer.concat(open.parts).toString("latin1");
    if (whole === undefined) this.dropped(n, { said });
    else this.#log.add(this, n, whole);
    if (outlet !== undefined) {
      this.#sent = n;
      return outlet.part(withId(last, this.#idLine(n)), true);
    }
    if (whole !== undefined) return this.#send(n, whole);
    // Who came back in the middle of it has nothing of it.
    if (this.#outlet !== undefined && this.#tellMissed !== undefined)
      for (const { id } of said.filter(isResponse)) this.say(Buffer.from(this.#tellMissed(id!)));
    return true;
  }

  #number(said: readonly Message[]): number {
    const asked = this.#asked;
    if (asked === undefined) return (this.#n += 1);
    for (const message of said) {
      const index = isResponse(message) ? asked.indexOf(message.id!) : -1;
      if (index !== -1) asked.splice(index, 1);
    }
    return (this.#n = nextNumber(this.#n, asked.length === 0));
  }

  #idLine(n: number): string {
    return `id: ${this.name}.${n}\n`;
  }

  #drained(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }
}

/** Puts the id before the line end that ends the event. */
function withId(last: Buffer, idLine: string): Buffer {
  const isCrLf = last.at(-1) === LF && last.at(-2) === CR;
  const end = last.length - (isCrLf ? 2 : 1);
  return Buffer.concat([last.subarray(0, end), Buffer.from(idLine), last.subarray(end)]);
}
