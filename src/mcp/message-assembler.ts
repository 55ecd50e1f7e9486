import { SupervisorError } from "../errors.ts";
import { OPEN_BRACE, OPEN_BRACKET, SPACE } from "./bytes.ts";
import { MAX_BATCH } from "./client-body.ts";
import { EnvelopeScanner } from "./envelope.ts";
import type { Message } from "./envelope.ts";
import { elementsOf, isArray } from "./json-span.ts";
import { LongText } from "./long-text.ts";
import { MessageScanner } from "./message-scanner.ts";

/** Up to here a message is read in one go, by JSON.parse. */
const SHORT_BYTES = 256 * 1024;
/** A batch is taken apart in one go, so it may not be as long as a message, nor have more messages than a client's. */
const BATCH_BYTES = 4 * 1024 * 1024;
const OF_BATCH = `a batch may have ${MAX_BATCH} messages and ${BATCH_BYTES >> 20} MiB at most`;
/** Of a batch that broke a limit so many are answered for; one that never ends must not fill the daemon. */
const MAX_ANSWERED_FOR = 10 * MAX_BATCH;
/** A result may be large; a message that never ends must not fill the daemon. */
const MAX_BYTES = 64 * 1024 * 1024;
/** Of all servers together, in messages that are not whole yet: the longest gives way. */
const MAX_BYTES_OF_ALL = 72 * 1024 * 1024;
const OF_ALL = `what is read of all servers at a time may have ${MAX_BYTES_OF_ALL >> 20} MiB, and this was the longest`;
const HEAD_BYTES = 1024;

export interface MessageSink {
  /** A whole text, short enough to be parsed. It may be no JSON. */
  text(bytes: Buffer): void;
  long(text: LongText): void;
  /** Messages that broke a limit, as far as they are known: of some it is not. */
  dropped(messages: readonly Message[], error: SupervisorError): void;
  /** A long text that is no message, and how it begins. */
  noMessage(head: Buffer): void;
}

type Look =
  | { readonly kind: "message"; readonly scanner: MessageScanner }
  | { readonly kind: "batch"; readonly scanner: EnvelopeScanner }
  | { readonly kind: "nothing"; readonly head: Buffer };

/** Those that hold a part of a long message. */
const holders = new Set<MessageAssembler>();
let heldByAll = 0;

/**
 * Puts messages together that come in pieces. What is long is looked at as it comes, so that its end
 * costs no more than any other piece of it; of what is too long it is still found out whose it was.
 */
export class MessageAssembler {
  readonly #sink: MessageSink;
  #parts: Buffer[] = [];
  #heldBytes = 0;
  #look: Look | undefined;
  /** The limit that the message broke: nothing of it is held. */
  #broken: string | undefined;

  constructor(sink: MessageSink) {
    this.#sink = sink;
  }

  /** Takes the piece over: of a message that breaks a limit the memory is given back. */
  push(bytes: Buffer): void {
    if (this.#look === undefined) {
      this.#hold(bytes);
      if (this.#heldBytes > SHORT_BYTES) this.#becomeLong();
      return;
    }
    if (this.#look.kind === "nothing") return;
    lookAt(this.#look, bytes);
    if (this.#broken !== undefined) return;
    this.#hold(bytes);
    heldByAll += bytes.length;
    if (this.#look.kind === "batch" && isOverBatch(this.#look.scanner, this.#heldBytes))
      this.#break(OF_BATCH);
    else if (this.#heldBytes > MAX_BYTES)
      this.#break(`a message may have ${MAX_BYTES >> 20} MiB at most`);
    else if (heldByAll > MAX_BYTES_OF_ALL) MessageAssembler.#longest().#break(OF_ALL);
  }

  /** The message is whole. */
  end(): void {
    const [parts, look, broken] = [this.#parts, this.#look, this.#broken];
    this.reset();
    if (look === undefined) {
      if (parts.some(hasToken)) this.#short(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
    } else if (look.kind === "nothing") this.#sink.noMessage(look.head);
    else if (broken !== undefined) this.#sink.dropped(messagesIn(look), tooLarge(broken));
    else if (look.kind === "batch") this.#batch(Buffer.concat(parts), look);
    else if (look.scanner.isWhole) this.#sink.long(new LongText(parts, look.scanner));
    else this.#sink.noMessage(parts[0]!.subarray(0, HEAD_BYTES));
  }

  #short(text: Buffer): void {
    if (!isArray(text)) return this.#sink.text(text);
    const look = { kind: "batch", scanner: new EnvelopeScanner() } as const;
    lookAt(look, text);
    this.#batch(text, look);
  }

  /** What is no message counts as a part all the same: to take it apart costs as much. */
  #batch(text: Buffer, look: Extract<Look, { kind: "batch" }>): void {
    if ((elementsOf(text, MAX_BATCH + 1)?.length ?? 0) > MAX_BATCH)
      this.#sink.dropped(messagesIn(look), tooLarge(OF_BATCH));
    else this.#sink.text(text);
  }

  /** Forgets what came of a message that nobody will hear the end of. */
  reset(): void {
    this.#release();
    this.#look = undefined;
    this.#broken = undefined;
  }

  #hold(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#heldBytes += bytes.length;
  }

  #release(): void {
    if (holders.delete(this)) heldByAll -= this.#heldBytes;
    this.#parts = [];
    this.#heldBytes = 0;
  }

  #becomeLong(): void {
    const first = this.#parts.map(firstToken).find((byte) => byte !== undefined);
    if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
      this.#look = { kind: "nothing", head: Buffer.from(this.#parts[0]!.subarray(0, HEAD_BYTES)) };
      return this.#release();
    }
    holders.add(this);
    heldByAll += this.#heldBytes;
    const look: Look =
      first === OPEN_BRACE
        ? { kind: "message", scanner: new MessageScanner() }
        : { kind: "batch", scanner: new EnvelopeScanner() };
    for (const part of this.#parts) lookAt(look, part);
    this.#look = look;
  }

  #break(limit: string): void {
    this.#broken = limit;
    const parts = this.#parts;
    this.#release();
    // The last one may still be in the hands of whoever reads.
    for (const part of parts.slice(0, -1)) freeNow(part);
  }

  static #longest(): MessageAssembler {
    let found: MessageAssembler | undefined;
    for (const one of holders)
      if (found === undefined || one.#heldBytes > found.#heldBytes) found = one;
    return found!;
  }
}

/**
 * Gives the memory of a piece back at once, where no other piece shares it: a server that writes one
 * endless line after the other is faster than the garbage collector.
 */
function freeNow({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

const tooLarge = (limit: string): SupervisorError =>
  new SupervisorError("ANSWER_TOO_LARGE", `what the server sent was too large: ${limit}`);

const hasToken = (part: Buffer): boolean => firstToken(part) !== undefined;

function firstToken(part: Buffer): number | undefined {
  return part.find((byte) => byte > SPACE);
}

function lookAt(look: Look, bytes: Buffer): void {
  if (look.kind === "message") look.scanner.write(bytes);
  else if (look.kind === "batch") {
    const { scanner } = look;
    scanner.write(bytes, 0, bytes.length);
    if (scanner.messages.length > MAX_ANSWERED_FOR) scanner.messages.length = MAX_ANSWERED_FOR;
  }
}

const isOverBatch = ({ messages }: EnvelopeScanner, bytes: number): boolean =>
  messages.length > MAX_BATCH || bytes > BATCH_BYTES;

const messagesIn = ({ kind, scanner }: Exclude<Look, { kind: "nothing" }>): readonly Message[] =>
  kind === "batch" ? scanner.messages : [scanner.message];
