import type { ClientMessage } from "../mcp/client-body.ts";
import { EnvelopeScanner } from "../mcp/envelope.ts";
import type { EventPart } from "../mcp/sse.ts";
import type { InFlight } from "./in-flight.ts";
import { MAX_LIST_BYTES } from "./list-pages.ts";

const NONE: Buffer[] = [];

/** Follows one answer of a server as it passes: which of the requests of its POST are answered, and how. */
export class AnswerTally {
  readonly #inFlight: InFlight;
  readonly #messages: readonly ClientMessage[];
  readonly #wantsBody: boolean;
  readonly #hasCalls: boolean;
  /** Of a body, or of an event that goes on. */
  #bytes = 0;
  #scanner: EnvelopeScanner | undefined;
  readonly #body: Buffer[];

  /** `wantsBody`: what is in it is to be remembered. */
  constructor(inFlight: InFlight, messages: readonly ClientMessage[], wantsBody: boolean) {
    this.#inFlight = inFlight;
    this.#messages = messages;
    this.#wantsBody = wantsBody;
    this.#body = wantsBody ? [] : NONE;
    this.#hasCalls = messages.some(({ tool }) => tool !== undefined);
  }

  /** A part of an event stream has passed. */
  part({ messages, bytes, isLast }: EventPart): void {
    this.#bytes += bytes.length;
    if (!isLast) return;
    this.#inFlight.received(messages, this.#bytes);
    this.#bytes = 0;
  }

  /** A piece of another body has passed. */
  piece(piece: Buffer): void {
    // No list that is longer is remembered; that it is longer, is.
    if (this.#wantsBody && this.#bytes <= MAX_LIST_BYTES) this.#body.push(piece);
    this.#bytes += piece.length;
    this.#inFlight.sawOfBody(this.#messages, piece.length);
    if (!this.#hasCalls) return;
    this.#scanner ??= new EnvelopeScanner();
    this.#scanner.write(piece, 0, piece.length);
  }

  /** The body, as far as it is remembered; undefined where nothing of it is. */
  get body(): Buffer | undefined {
    if (!this.#wantsBody) return undefined;
    return this.#body.length === 1 ? this.#body[0]! : Buffer.concat(this.#body);
  }

  /** The body has ended, and answers all of them. */
  answered(): void {
    this.#inFlight.answered(this.#messages, this.#scanner?.messages ?? [], this.#bytes);
  }
}
