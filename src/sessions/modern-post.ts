import { unawaited, guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { Instance, Live } from "../instances/supervisor.ts";
import type { Link, LinkEvents, Listener } from "../links/link.ts";
import type { ModernStdio } from "../links/modern-stdio.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Text } from "../mcp/long-text.ts";
import { statusOfError } from "../mcp/modern.ts";
import { PATIENCE_MS, answerWith, beginStream, emitMessage } from "./bridged-answer.ts";
import type { CallWatch } from "./calls.ts";
import { explainFailure } from "./exit.ts";
import { InFlight } from "./in-flight.ts";
import type { HttpOutlet } from "./outlet.ts";
import type { Unread } from "./unread.ts";

/** A ready child that speaks 2026-07-28 over stdio. */
export interface ModernServing {
  readonly instance: Instance;
  readonly live: Live;
  /** What is asked of the child itself, for all its callers. */
  readonly hub: Pick<ModernStdio, "versions" | "paramHeaders" | "notify">;
  readonly connect: (events: LinkEvents) => Link;
}

const NOBODY_ASKABLE: LinkEvents["askable"] = new Set();

/**
 * One request of 2026-07-28 over Streamable HTTP to a stdio child, from the POST to the end of its
 * answer: plain JSON where nothing came before it, else the end of a stream. There is no session.
 */
export class ModernPost implements Listener {
  readonly #serving: ModernServing;
  readonly #outlet: HttpOutlet;
  readonly #unread: Unread;
  readonly #inFlight: InFlight;
  readonly #timer: NodeJS.Timeout;
  readonly #link: Link;
  #id: string | undefined;
  #isStream = false;
  #isOver = false;

  /** `unread` counts what waits for this client: the child has other callers and cannot wait for it. */
  constructor(serving: ModernServing, outlet: HttpOutlet, unread: Unread) {
    this.#serving = serving;
    this.#outlet = outlet;
    this.#unread = unread;
    this.#inFlight = new InFlight(serving.instance.usage);
    const begin = guarded("request", this.#broke, () => this.#begin());
    this.#timer = setTimeout(begin, PATIENCE_MS);
    this.#link = serving.connect({
      askable: NOBODY_ASKABLE,
      listener: this,
      onClosed: (failure) => (failure === undefined ? this.#ended() : this.#broke(failure)),
    });
  }

  /** Sends the request. Rejects with UPSTREAM_RESET when the child has closed its input. */
  async send(message: ClientMessage, watch?: CallWatch): Promise<void> {
    this.#id = message.id;
    this.#inFlight.sent([message], watch);
    try {
      await this.#link.post({ body: message.raw, messages: [message], headers: [] });
    } catch (error) {
      // Given up meanwhile: its client has been told.
      if (this.#isOver) return;
      this.#finish();
      throw error;
    }
  }

  /** The client has left: closing the stream is the cancellation, so the child must hear of it at once. */
  abort(): void {
    if (this.#isOver) return;
    this.#finish();
    this.#link.close();
  }

  /** Nobody waits for the child any more: the client is told why. */
  giveUp(error: SupervisorError): void {
    if (this.#isOver) return;
    const unanswered = this.#finish();
    this.#link.close();
    this.#outlet.fail(error, unanswered);
  }

  onMessage(raw: Text, _about: string | undefined, answer?: Message): void {
    if (this.#isOver) return;
    const full = this.#unread.refusal(raw.length);
    if (answer === undefined) {
      if (full !== undefined) return this.#unread.drop();
      this.#begin();
      // Beside JSON alone there is nowhere to say it: this era has no other stream.
      if (this.#isStream) emitMessage(this.#outlet, raw);
    } else if (full === undefined) this.#answer(raw, answer);
    else this.onDropped(answer.id!, full);
  }

  onDropped(id: string, error: SupervisorError): void {
    if (this.#isOver) return;
    if (error.code === "UPSTREAM_RESET") return this.#ended();
    this.#inFlight.failed(id);
    this.#finish();
    this.#outlet.fail(error, [id]);
  }

  #answer(raw: Text, answer: Message): void {
    this.#inFlight.received([answer], raw.length);
    this.#finish();
    if (!this.#isStream) return answerWith(this.#outlet, raw, statusOfError(answer.errorCode));
    emitMessage(this.#outlet, raw);
    this.#outlet.end();
  }

  /** No answer comes: the child is gone, or has torn a subscription down. */
  #ended(): void {
    if (!this.#isOver) unawaited("request", this.#broke, this.#lost());
  }

  readonly #broke = (failure: SupervisorError): void => {
    this.#link.close();
    this.#outlet.fail(failure, this.#id === undefined ? [] : [this.#id]);
    this.#finish();
  };

  async #lost(): Promise<void> {
    const unanswered = this.#finish();
    const reset = new SupervisorError("UPSTREAM_RESET", "the child ended the request");
    this.#outlet.fail(await explainFailure(reset, this.#serving.live), unanswered);
  }

  #begin(): void {
    if (this.#isStream || this.#outlet.accepted === "json") return;
    clearTimeout(this.#timer);
    this.#isStream = true;
    beginStream(this.#outlet);
  }

  #finish(): string[] {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#unread.close();
    return this.#inFlight.drain();
  }
}
