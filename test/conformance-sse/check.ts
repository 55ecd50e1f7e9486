import assert from "node:assert/strict";
import { type Hello, type Params, Session } from "./session.ts";
import type { Survey } from "./survey.ts";
import { ask, type Ask, EventStream, type Reply, type Target } from "./wire.ts";

/** Thrown by a check that asks for what the server does not offer; its message says what that is. */
export class Skip extends Error {}

/** What a check has at hand. Whatever it opens is closed when it is over. */
export class Visit {
  readonly target: Target;
  readonly survey: Survey;
  readonly #opened: { close: () => void }[] = [];

  constructor(target: Target, survey: Survey) {
    this.target = target;
    this.survey = survey;
  }

  /** A stream of which nothing has been read. */
  async stream(): Promise<EventStream> {
    return this.#keep(await EventStream.open(this.target));
  }

  /** A session before `initialize`. */
  async open(): Promise<Session> {
    return this.#keep(await Session.open(this.target));
  }

  /** A session after `initialized`. */
  async start(hello: Hello = {}): Promise<Session> {
    const session = await this.open();
    await session.shakeHands(hello);
    return session;
  }

  /** Anything else that HTTP can ask. */
  async ask(url: URL, options: Ask): Promise<Reply> {
    return await ask(this.target, url, options);
  }

  /** Skips the check unless the server has declared the capability. */
  needs(capability: string, feature?: string): void {
    const declared = this.survey.capabilities[capability] as Params | undefined;
    if (declared === undefined) throw new Skip(`the server declares no ${capability}`);
    if (feature !== undefined && declared[feature] !== true)
      throw new Skip(`the server declares no ${capability}.${feature}`);
  }

  close(): void {
    for (const { close } of this.#opened.map((one) => ({ close: () => one.close() }))) close();
  }

  #keep<T extends { close: () => void }>(opened: T): T {
    this.#opened.push(opened);
    return opened;
  }
}

export interface Check {
  id: string;
  /** Where it is written: a page below modelcontextprotocol.io/specification, or another document. */
  section: string;
  /** What has to hold. */
  says: string;
  /** It takes long, and the run has to be asked for it. */
  isSlow?: boolean;
  run: (visit: Visit) => Promise<void>;
}

export interface Scenario {
  id: string;
  checks: readonly Check[];
}

/** The request was answered, and with a refusal of its own making: 4xx. */
export function assertRefused({ status, body }: Reply): void {
  assert.ok(status >= 400 && status < 500, `answered with ${status} ${body.slice(0, 200)}`);
}
