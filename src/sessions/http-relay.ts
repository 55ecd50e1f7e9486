import type { Credential } from "../auth/principal.ts";
import { SupervisorError } from "../errors.ts";
import type { Instance, Live } from "../instances/supervisor.ts";
import { UNHEARD, pathOf } from "../links/http1/client.ts";
import type { HttpRequest, ResponseHeaders } from "../links/http1/client.ts";
import type { Link, PostAnswer } from "../links/link.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { SESSION_HEADER, withOwnHeaders } from "../mcp/headers.ts";
import type { CallWatch } from "./calls.ts";
import type { Front } from "./front.ts";
import type { Generations } from "./generations.ts";
import { HttpExchange, sessionIdIn } from "./http-exchange.ts";
import type { HttpOutlet } from "./outlet.ts";
import type { HttpSession, HttpSessions } from "./http-sessions.ts";
import { InFlight } from "./in-flight.ts";
import { makeRoom } from "./second-stream.ts";
import { Session } from "./session.ts";
import type { SessionOptions } from "./session-options.ts";

/** A Streamable HTTP session whose server speaks the same: each request is carried over by itself, under the id that the server gave. */
export class HttpRelay implements Front, HttpSession {
  readonly kind = "relay";
  readonly session: Session;
  readonly childId: string;
  openRequests = 0;
  /** Ends what is open in its name and would go on without it. */
  readonly streams = new Set<() => void>();
  /** `performance.now()` when the last of its streams ended. */
  streamEndedAt = -Infinity;
  readonly cutOff = new SupervisorError("UPSTREAM_RESET", "the server ended the session");

  /** `live` is the generation that answered `initialize`, with that id. */
  constructor(options: Omit<SessionOptions, "connect">, live: Live, childId: string) {
    const { generations, instance } = options;
    this.childId = childId;
    this.session = new Session({ ...options, connect: refuseToConnect }, this);
    this.session.begin({ instance, askable: new Set() });
    this.session.adopt(live, new RelayedSession(live, childId, instance, generations));
  }

  // Its exchanges hear the server for themselves, and of its end, and are given up one by one.
  onMessage(): void {}
  onDropped(): void {}
  interrupt(): undefined {}
  end(): void {}
  giveUp(): void {}

  close(isTold = false): void {
    this.session.close(isTold);
    for (const end of this.streams) end();
  }
}

/** A session that is relayed request by request ends with its server. */
const NOT_REPLAYED = {
  isStateful: true,
  staysBehind: false,
  resend: "never",
  patienceMs: 0,
} as const;

const refuseToConnect = (): never => {
  throw new SupervisorError("INTERNAL", "a relayed session begins with an answer of its server");
};

/** What there is of a relayed session at its server: an id, which the server keeps until it is told. */
class RelayedSession implements Link {
  readonly #live: Live;
  readonly #id: string;
  readonly #instance: Instance;
  readonly #generations: Generations;

  constructor(live: Live, id: string, instance: Instance, generations: Generations) {
    this.#live = live;
    this.#id = id;
    this.#instance = instance;
    this.#generations = generations;
  }

  post(): Promise<PostAnswer> {
    return Promise.reject(
      new SupervisorError("INTERNAL", "what is relayed goes request by request"),
    );
  }

  pause(): void {}
  resume(): void {}

  unsent(): readonly string[] {
    return [];
  }

  /** As its client would have (Streamable HTTP, "Session Management"). A server that says no, or nothing, has forgotten the session or will. */
  close(): void {
    const { target } = this.#live;
    if (target.transport === "stdio" || this.#instance.live !== this.#live) return;
    const headers = withOwnHeaders([SESSION_HEADER, this.#id], target.headers);
    const request = { method: "DELETE", path: pathOf(target.url), headers, body: null } as const;
    this.#generations.clientFor(this.#live, target).request(request, UNHEARD);
  }

  abandon(): void {}
}

/** Where relayed sessions are kept. */
export interface Relays {
  readonly http: Pick<HttpSessions<HttpRelay>, "add" | "close" | "hold">;
  readonly generations: Generations;
}

/** One request of a client to a server of the same transport. */
export interface RelayedRequest {
  readonly holder: Credential;
  readonly instance: Instance;
  readonly live: Live;
  /** That it belongs to, if it belongs to one. */
  readonly relayed: HttpRelay | undefined;
  readonly method: HttpRequest["method"];
  /** The client's own that are for the server, names and values in turn. */
  readonly headers: string[];
  readonly body: Buffer | null;
  readonly messages: readonly ClientMessage[];
  readonly watch: CallWatch;
  readonly outlet: HttpOutlet;
  /** Ends the client's request. */
  readonly cut: () => void;
}

/**
 * Sends the request; its answer goes to the outlet, verbatim. Returns what ends it, to be called once
 * the client's request is over.
 */
export function relay(
  { http, generations }: Relays,
  request: RelayedRequest,
): { exchange: HttpExchange; release: () => void } {
  const { instance, live, relayed, method, headers, messages, cut } = request;
  const { target } = live;
  // Only servers of this transport get here; a silent end would leave the client waiting.
  if (target.transport === "stdio")
    throw new SupervisorError("INTERNAL", "a stdio child cannot be relayed to");
  if (relayed !== undefined) headers.push(SESSION_HEADER, relayed.childId);
  const isStream = method === "GET" && relayed !== undefined;
  const exchange = new HttpExchange({
    client: generations.clientFor(live, target),
    live,
    target,
    method,
    headers,
    body: request.body,
    messages,
    inFlight: new InFlight(instance.usage, relayed?.session.serving?.holds),
    watch: request.watch,
    outlet: request.outlet,
    ...(isStream ? { askAgainAfter: makeRoom(relayed, cut) } : {}),
  });
  const over = relayed !== undefined && method !== "GET" ? http.hold(relayed) : undefined;
  if (isStream) relayed.streams.add(cut);
  return {
    exchange,
    release: () => {
      over?.();
      if (isStream) {
        relayed.streams.delete(cut);
        relayed.streamEndedAt = performance.now();
      }
      exchange.abort();
    },
  };
}

/** What the head of an answer says of the session that its request belongs to, or begins. */
export function sessionAfter(
  { http, generations }: Relays,
  {
    holder,
    instance,
    live,
    relayed,
    method,
    messages,
  }: Pick<RelayedRequest, "holder" | "instance" | "live" | "relayed" | "method" | "messages">,
  status: number,
  received: ResponseHeaders,
): string | undefined {
  const childId = sessionIdIn(received);
  const isOk = status >= 200 && status < 300;
  // Told by the client itself.
  if (relayed !== undefined && method === "DELETE" && isOk) http.close(relayed, true);
  const isInitialize = messages.some((message) => message.method === "initialize");
  // Learned from a good answer to initialize alone: servers put fresh ids on refusals too.
  if (relayed === undefined && childId !== undefined && isInitialize && isOk) {
    const begun = new HttpRelay({ holder, instance, ...NOT_REPLAYED, generations }, live, childId);
    http.add(begun);
    return begun.session.id;
  }
  return childId === relayed?.childId ? relayed?.session.id : undefined;
}
