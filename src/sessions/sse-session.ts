import { randomBytes } from "node:crypto";
import { SupervisorError } from "../errors.ts";
import { rpcErrorText } from "../http/error-response.ts";
import { formatEvent } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Instance, Live } from "../supervisor/supervisor.ts";
import { SseLink } from "../upstream/sse-link.ts";
import type { PostAnswer } from "../upstream/sse-link.ts";
import { exitOf, explainFailure } from "./exit.ts";
import { InFlight } from "./in-flight.ts";
import type { Holder } from "./open-requests.ts";
import type { Upstreams } from "./upstreams.ts";

/** The client's open event stream, as far as a session has to know it. */
export interface Outlet {
  /** Takes a part of the server's stream; false asks for a pause. */
  part(bytes: Buffer, isLast: boolean): boolean;
  /** Puts an event of the gateway's own on the stream; ends the stream where an event was cut in the middle. */
  event(text: string): void;
  /** Calls back once, when there is room again after a pause was asked for. */
  onceDrained(resume: () => void): void;
  end(): void;
}

export interface SseSessionOptions {
  holder: Holder;
  instance: Instance;
  outlet: Outlet;
  upstreams: Upstreams;
  postTimeoutMs: number;
  /** A stateful server's sessions end with the child instead of outliving it. */
  isStateful: boolean;
  requestId: string;
}

type LinkState =
  | { readonly kind: "none" }
  | { readonly kind: "opening"; readonly opening: Promise<SseLink> }
  | { readonly kind: "open"; readonly link: SseLink }
  | { readonly kind: "lost"; readonly error: SupervisorError }
  | { readonly kind: "closed" };

/**
 * A client's conversation over HTTP with SSE. It begins with the client's stream and needs no child:
 * the first message starts one and opens the link. When the child goes, calls under way are answered
 * with an error and the stream stays.
 */
export class SseSession {
  readonly id = randomBytes(16).toString("base64url");
  readonly holder: Holder;
  readonly instance: Instance;
  readonly #options: SseSessionOptions;
  readonly #inFlight: InFlight;
  #state: LinkState = { kind: "none" };
  #isPaused = false;

  constructor(options: SseSessionOptions) {
    this.#options = options;
    this.holder = options.holder;
    this.instance = options.instance;
    this.#inFlight = new InFlight(options.instance.usage);
    this.instance.usage.sessions += 1;
  }

  /**
   * Sends what the client posted to its child, which is started if it is down, and resolves with the
   * child's answer to the POST. Rejects with what kept the child from starting or the link from
   * opening, SESSION_LOST once the child that held the session is gone, and UPSTREAM_* for a POST that
   * fails.
   */
  async deliver(
    body: Buffer,
    messages: readonly Message[],
    headers: string[],
  ): Promise<PostAnswer> {
    const link = this.#state.kind === "open" ? this.#state.link : await this.#link();
    this.#inFlight.sent(messages, body);
    try {
      const answer = await link.post(body, headers);
      if (answer.status >= 300) this.#inFlight.refused(messages);
      return answer;
    } catch (error) {
      this.#inFlight.refused(messages);
      throw error;
    }
  }

  /** The client has left or may not stay: its link goes too. */
  close(): void {
    if (this.#state.kind === "closed") return;
    const state = this.#state;
    this.#state = { kind: "closed" };
    if (state.kind === "open") state.link.close();
    this.#inFlight.drain();
    this.instance.usage.sessions -= 1;
  }

  async #link(): Promise<SseLink> {
    switch (this.#state.kind) {
      case "open":
        return this.#state.link;
      case "lost":
        throw this.#state.error;
      case "closed":
        throw new SupervisorError("SESSION_NOT_FOUND", "no such session");
      case "opening":
        return await this.#state.opening;
      case "none": {
        // Kept until it settles: messages that arrive meanwhile share it, so a session never has two links.
        const opening = this.#open();
        this.#state = { kind: "opening", opening };
        return await opening;
      }
    }
  }

  async #open(): Promise<SseLink> {
    try {
      const live = await this.instance.ensure();
      const link = await SseLink.open({
        client: this.#options.upstreams.clientFor(live),
        target: live.target,
        postTimeoutMs: this.#options.postTimeoutMs,
        onPart: (part) => this.#onPart(part),
        onClosed: (error) => void this.#onLinkClosed(live, error),
      });
      // The client may have left while the child was starting.
      if (this.#state.kind !== "opening") {
        link.close();
        throw new SupervisorError("SESSION_NOT_FOUND", "no such session");
      }
      this.#state = { kind: "open", link };
      return link;
    } catch (error) {
      // Nothing of the session has reached a child yet, so the next message may try again.
      if (this.#state.kind === "opening") this.#state = { kind: "none" };
      throw error;
    }
  }

  #onPart(part: EventPart): void {
    this.#inFlight.received(part.messages);
    const { outlet } = this.#options;
    const hasRoom = outlet.part(part.bytes, part.isLast);
    // A read that was cut into many events brings many parts after the first one that filled up.
    if (hasRoom || this.#isPaused || this.#state.kind !== "open") return;
    const { link } = this.#state;
    this.#isPaused = true;
    link.pause();
    outlet.onceDrained(() => {
      this.#isPaused = false;
      link.resume();
    });
  }

  async #onLinkClosed(live: Live, error: SupervisorError | undefined): Promise<void> {
    if (this.#state.kind === "closed") return;
    const { user, server } = this.instance.ref;
    const lost = new SupervisorError(
      "SESSION_LOST",
      `${user}/${server}: the server that held this session is gone; connect again`,
    );
    this.#state = { kind: "lost", error: lost };
    this.#failInFlight(await explainFailure(error ?? lost, live));
    // A server that only ended this stream has ended it for the client too.
    if (this.#options.isStateful || (await exitOf(live)) === undefined) this.#options.outlet.end();
  }

  #failInFlight(error: SupervisorError): void {
    for (const id of this.#inFlight.drain()) {
      this.#options.outlet.event(
        formatEvent("message", rpcErrorText(error, this.#options.requestId, id)),
      );
    }
  }
}
