import { contained, guarded, unawaited } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { statusOfError } from "../mcp/modern.ts";
import type { ModernParams } from "../mcp/modern.ts";
import { outcomeOf } from "../mcp/outcome.ts";
import type { Instance, Live } from "../instances/supervisor.ts";
import type { ModernCaller, ModernStdio } from "../links/modern-stdio.ts";
import type { Text } from "../mcp/long-text.ts";
import { PATIENCE_MS, answerWith, beginStream, emitMessage } from "./bridged-answer.ts";
import { explainFailure } from "./exit.ts";
import type { CallWatch } from "./calls.ts";
import type { HttpOutlet } from "./outlet.ts";
import { InFlight } from "./in-flight.ts";
import type { Unread } from "./unread.ts";

/** A ready child that speaks 2026-07-28 over stdio. */
export interface ModernServing {
  readonly instance: Instance;
  readonly live: Live;
  readonly hub: ModernStdio;
}

/**
 * One request of 2026-07-28 over Streamable HTTP to a stdio child, from the POST to the end of its
 * answer: plain JSON where nothing came before it, else the end of a stream. There is no session.
 */
export class ModernPost implements ModernCaller {
  readonly #serving: ModernServing;
  readonly #outlet: HttpOutlet;
  readonly #unread: Unread;
  readonly #inFlight: InFlight;
  readonly #timer: NodeJS.Timeout;
  #cancel: (() => void) | undefined;
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
  }

  /** Sends the request. Rejects with UPSTREAM_RESET when the child has closed its input. */
  async send(message: ClientMessage, params: ModernParams, watch?: CallWatch): Promise<void> {
    this.#id = message.id;
    this.#inFlight.sent([message], watch);
    try {
      const cancel = await this.#serving.hub.request(message, params, this);
      if (this.#isOver) cancel();
      else this.#cancel = cancel;
    } catch (error) {
      this.#finish();
      throw error;
    }
  }

  /** The client has left: closing the stream is the cancellation, so the child must hear of it at once. */
  abort(): void {
    if (this.#isOver) return;
    this.#finish();
    this.#cancel?.();
  }

  /** Nobody waits for the child any more: the client is told why. */
  giveUp(error: SupervisorError): void {
    if (this.#isOver) return;
    const unanswered = this.#finish();
    this.#cancel?.();
    this.#outlet.fail(error, unanswered);
  }

  notify(raw: Text): void {
    if (this.#isOver) return;
    if (this.#unread.refusal(raw.length) !== undefined) return this.#unread.drop();
    try {
      this.#begin();
      // Beside JSON alone there is nowhere to say it: this era has no other stream.
      if (this.#isStream) emitMessage(this.#outlet, raw);
    } catch (error) {
      this.#broke(contained("request", error));
    }
  }

  answer(raw: Text, errorCode: number | undefined): void {
    if (this.#isOver) return;
    const full = this.#unread.refusal(raw.length);
    if (full !== undefined) return this.dropped(full);
    try {
      this.#answer(raw, errorCode);
    } catch (error) {
      this.#broke(contained("request", error));
    }
  }

  #answer(raw: Text, errorCode: number | undefined): void {
    const outcome = outcomeOf(raw);
    const seen = { id: this.#id, method: undefined };
    this.#inFlight.received([outcome === "ok" ? seen : { ...seen, outcome }], raw.length);
    this.#finish();
    if (!this.#isStream) return answerWith(this.#outlet, raw, statusOfError(errorCode));
    emitMessage(this.#outlet, raw);
    this.#outlet.end();
  }

  dropped(error: SupervisorError): void {
    if (this.#isOver) return;
    this.#inFlight.failed(this.#id!);
    this.#finish();
    this.#outlet.fail(error, [this.#id!]);
  }

  over(): void {
    if (!this.#isOver) unawaited("request", this.#broke, this.#lost());
  }

  /** The child has other callers and took no part in what broke. */
  readonly #broke = (failure: SupervisorError): void => {
    if (!this.#isOver) this.#cancel?.();
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
