import type { ServerDef } from "../config/config.ts";
import type { LastShown } from "../instances/last-shown.ts";
import type { Instance, Live } from "../instances/supervisor.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { locate, valueAt } from "../mcp/json-span.ts";
import type { Text } from "../mcp/long-text.ts";
import { LongText } from "../mcp/long-text.ts";
import { GREETS, answerAsleep, audienceOf, modernAudienceOf, wake } from "./asleep.ts";
import type { ModernSays } from "./asleep.ts";
import type { Attachment } from "./attachment.ts";
import type { Ask } from "./list-pages.ts";
import { ManifestMaker } from "./manifest-maker.ts";
import type { Greeting } from "./manifest-maker.ts";

export type Shown = Pick<LastShown, "find" | "wants" | "keep">;

/** Where nothing is kept. */
export const NOTHING_SHOWN: Shown = { find: () => undefined, wants: () => false, keep() {} };

type Transport = ServerDef["transport"];

/** A client's `initialize`, and the whole answer of its server. */
export interface Hello {
  readonly initialize: ClientMessage;
  readonly greeting: Text;
}

/** What the server of a session shows. */
export interface SessionShowings {
  /** What the child of this instance last showed to clients with this `initialize`, as the answer to the request; undefined where it is awake, or is to be asked. */
  asleep(instance: Instance, initialize: ClientMessage, request: ClientMessage): Buffer | undefined;
  /** The child has heard that a client is there that began like this. */
  awake(at: Attachment, hello: Hello, instance: Instance): void;
  /** The child takes no session that began as this one did: nobody is to begin like that again. */
  refused(live: Live, initialize: ClientMessage): void;
}

/** A ready child, whoever talks to it. */
interface Awake {
  readonly instance: Instance;
  readonly live: Live;
}

/** What children show to clients: they are asked for it while they are awake, and clients while they sleep. */
export class Showings {
  readonly #lastShown: Shown;
  readonly #maker: ManifestMaker;
  readonly #ofSessions = new Map<Transport, SessionShowings>();

  constructor(lastShown: Shown) {
    this.#lastShown = lastShown;
    this.#maker = new ManifestMaker(lastShown);
  }

  /** Those of a server that speaks this, for all its sessions. */
  of(transport: Transport): SessionShowings {
    const known = this.#ofSessions.get(transport) ?? this.#ofSessionsOver(transport);
    this.#ofSessions.set(transport, known);
    return known;
  }

  #ofSessionsOver(transport: Transport): SessionShowings {
    return {
      asleep: (instance, initialize, request) =>
        answerAsleep(this.#lastShown, instance, request, () => audienceOf(initialize, transport)),
      awake: (at, { initialize, greeting: said }, instance) => {
        const audience = audienceOf(initialize, transport);
        if (audience === undefined) return;
        const greeting = () => Promise.resolve(greetingOf(at, said));
        const ask: Ask = (method, params) => at.ask(method, params);
        const shower = { live: at.live, greeting, ask, isBusy: () => isBusy(instance) };
        this.#maker.begin(shower, audience);
      },
      refused: (live, initialize) => {
        const audience = audienceOf(initialize, transport);
        if (audience !== undefined) this.#lastShown.keep(live, audience, undefined);
      },
    };
  }

  /** As `SessionShowings.asleep`, to the first message of a client of a server that has no sessions. */
  sessionlessAsleep(instance: Instance, initialize: ClientMessage): Buffer | undefined {
    const audience = audienceOf(initialize, "http");
    const answer = answerAsleep(this.#lastShown, instance, initialize, () => audience);
    if (answer === undefined || this.#lastShown.find(instance.ref, audience!)!.hasSessions)
      return undefined;
    wake(instance);
    return answer;
  }

  /** A server that has no sessions has answered a client's `initialize`. `ask` asks it as that client does. */
  sessionlessAwake(
    { instance, live }: Awake,
    ask: Ask,
    { initialize, greeting: said }: Hello,
  ): void {
    const audience = audienceOf(initialize, "http");
    if (audience === undefined) return;
    const greeting = () => Promise.resolve(readable(said, false));
    this.#maker.begin({ live, greeting, ask, isBusy: () => isBusy(instance) }, audience);
  }

  /** As `SessionShowings.asleep`, for a request of 2026-07-28. */
  modernAsleep(instance: Instance, request: ClientMessage, says: ModernSays): Buffer | undefined {
    const answer = answerAsleep(this.#lastShown, instance, request, () => modernAudienceOf(says));
    if (answer !== undefined && request.method === GREETS.modern) wake(instance);
    return answer;
  }

  /** The child has a request of a client that says so. `ask` asks it as that client does. */
  modernAwake({ instance, live }: Awake, ask: Ask, says: ModernSays): void {
    const audience = modernAudienceOf(says);
    if (audience === undefined) return;
    const greeting = async (): Promise<Greeting | undefined> => {
      const result = resultIn(await ask(GREETS.modern, "{}"));
      return result && { greeting: result, hasSessions: false };
    };
    this.#maker.begin({ live, greeting, ask, isBusy: () => isBusy(instance) }, audience);
  }
}

const isBusy = ({ usage }: Instance): boolean => usage.inFlight > 0;

/** The bytes of the result; undefined where there is none, or it is larger than any that is kept. */
function resultIn(answer: Text): Buffer | undefined {
  if (answer instanceof LongText) return undefined;
  const span = locate(answer, ["result"]);
  return span && answer.subarray(span.start, span.end);
}

/** What the child answered to `initialize`: over stdio to that of the gateway, else to the client's. */
function greetingOf({ live: { target }, link }: Attachment, said: Text): Greeting | undefined {
  if (target.transport === "stdio")
    return target.era === "legacy"
      ? { greeting: target.shared.greeting, hasSessions: true }
      : undefined;
  return readable(said, link.hasSession ?? true);
}

/** Undefined for one that names no version: no client could read it. */
function readable(said: Text, hasSessions: boolean): Greeting | undefined {
  const greeting = resultIn(said);
  const version = greeting && locate(greeting, ["protocolVersion"]);
  if (version === undefined || typeof valueAt(greeting!, version) !== "string") return undefined;
  return { greeting: greeting!, hasSessions };
}
