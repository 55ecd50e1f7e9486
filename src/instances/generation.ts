import { isPodServer } from "../config/child-servers.ts";
import type { ServerDef } from "../config/config.ts";
import type { Running } from "../engines/engine.ts";
import { withDeadline } from "../platform/deadline.ts";
import { markOf } from "../tokens/tokens.ts";
import type { Candidate } from "./admission.ts";
import type { InstanceContext } from "./instance-context.ts";
import { NOWHERE, isChildless, whereaboutsOf } from "./instance-types.ts";
import type {
  Ended,
  InstanceRow,
  InstanceState,
  Live,
  Ref,
  Whereabouts,
} from "./instance-types.ts";
import type { Launching } from "./launch-types.ts";
import type { StdioTarget } from "../links/target.ts";
import { WELL_AFTER_MS } from "./restart-policy.ts";
import type { Usage } from "./usage.ts";
import { Work } from "./work.ts";

/** How long the end of a child may take that is on its way out, on a loaded machine too. */
const MAX_ENDING_MS = 100;
/** The same where the system says that its end is a matter of time. */
const SURE_ENDING_MS = 1_000;

type StateOf<Name extends InstanceState["name"]> = Extract<InstanceState, { name: Name }>;
/** `answer` is the same for every caller of `ensure`, which is asked once a message. */
type Ready = StateOf<"ready"> & {
  answer: Promise<Live>;
  readyAt: number;
  answeredBefore: number;
};
/** Told to end, or `isAnswering` until it is. */
type Draining = StateOf<"draining"> & { isAnswering: boolean };
type State = StateOf<"starting"> | Ready | Draining;

const hubOf = (target: StdioTarget) => (target.era === "modern" ? target.hub : target.shared);

export interface Drain {
  reason: string;
  /** Resolves when nothing of it is left. */
  gone: Promise<void>;
  isAnswering: boolean;
}

/** Whose generation it is. */
export interface Owner {
  readonly ref: Ref;
  readonly usage: Usage;
  /** Of the generation that serves; see `Instance.idleSince`. */
  readonly idleSince: number | undefined;
  stop(reason: string): Promise<void>;
  /** See `Instance.handOver`. */
  handOver(reason: string): Promise<void>;
  row(): InstanceRow;
}

/** One generation of an instance: starting → ready → draining, until nothing of it is left. */
export class Generation implements Candidate {
  readonly number: number;
  /** What it is started as. */
  readonly def: ServerDef;
  readonly work = new Work();
  /** `performance.now()` of its child's start: a failure after that is held against the instance. */
  begunAt = 0;
  /** The next one may run beside it. */
  isHandedOver = false;
  /** Resolves when nothing of it is left, once it drains. */
  gone: Promise<void> = Promise.resolve();
  readonly #owner: Owner;
  /** Of the token that it has; undefined before it has taken one. */
  #mark: string | undefined;
  #state: State = { name: "starting", since: Date.now(), reason: null, ...NOWHERE };
  #running: Running | undefined;
  #live: Live | undefined;
  #finish: ((ended: Ended) => void) | undefined;

  constructor(owner: Owner, number: number, def: ServerDef) {
    this.#owner = owner;
    this.number = number;
    this.def = def;
  }

  get isPod(): boolean {
    return isPodServer(this.def);
  }

  get ref(): Ref {
    return this.#owner.ref;
  }

  get state(): State {
    return this.#state;
  }

  /** What new calls are handed; undefined where it takes none, or could answer none. */
  get live(): Live | undefined {
    if (this.#state.name !== "ready" || this.#state.running.isSpent) return undefined;
    return this.#state.live;
  }

  /** Calls that it has are answered, whether or not it takes more. */
  get isAnswering(): boolean {
    const state = this.#state;
    return state.name === "ready" || (state.name === "draining" && state.isAnswering);
  }

  /** It has lived for a while, or has been of use. */
  get isWell(): boolean {
    if (this.#state.name !== "ready") return false;
    const { readyAt, answeredBefore } = this.#state;
    const { answered } = this.#owner.usage;
    return performance.now() - readyAt >= WELL_AFTER_MS || answered > answeredBefore;
  }

  get idleSince(): number | undefined {
    return this.#state.name === "ready" ? this.#owner.idleSince : undefined;
  }

  get port(): number | null {
    return this.#whereabouts.port;
  }

  get place(): string | null {
    return this.#whereabouts.place;
  }

  /** Ends the instance: for whoever needs its place. */
  async stop(reason: string): Promise<void> {
    await this.#owner.stop(reason);
  }

  /** Memory of the whole process tree, null where none is alive or it cannot be read. */
  async rssBytes(): Promise<number | null> {
    return (await this.#running?.rssBytes()) ?? null;
  }

  /** The token of now, with which it is started. */
  async takeToken(
    secretsFor: InstanceContext["secretsFor"],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const token = await secretsFor(this.ref, this.number, signal);
    this.#mark = markOf(token);
    return token;
  }

  get hasTakenToken(): boolean {
    return this.#mark !== undefined;
  }

  /** The token of now, where what runs can be handed it; false where it takes another generation. Throws where there is none to hand. */
  takeTokenOfNow(secretNow: InstanceContext["secretNow"]): boolean {
    const replaceToken = this.#running?.replaceToken;
    if (this.live === undefined || replaceToken === undefined) return false;
    const token = secretNow(this.ref, this.number);
    replaceToken(token);
    this.#mark = markOf(token);
    return true;
  }

  /** What its child waits for, in words; null while it waits for nothing that could be said. */
  get waitingFor(): string | null {
    return this.#state.name === "starting" ? this.#state.reason : null;
  }

  /** Its start takes its time. */
  waits(why: string | null): void {
    if (this.#state.name === "starting") this.#state = { ...this.#state, reason: why };
  }

  /** Its child runs, and is not ready yet. */
  spawned(running: Running): void {
    this.#running = running;
    const { since } = this.#state;
    this.#state = { name: "starting", since, reason: null, ...this.#whereabouts };
  }

  /** Its child answers. */
  becomeReady({ target, running }: Launching): Live {
    this.#running = running;
    running.output.countAsked(this.#owner.usage);
    const mark = (): string => this.#mark ?? "";
    const exited = new Promise<Ended>((resolve) => (this.#finish = resolve));
    const live: Live = {
      ref: this.ref,
      generation: this.number,
      target,
      startedAs: {
        def: this.def,
        get token() {
          return mark();
        },
      },
      pid: running.pid,
      work: this.work,
      isHandedOver: () => this.isHandedOver,
      exited,
      isGone: () => running.isGone(),
      ending: () => this.#ending(running, exited),
    };
    this.#live = live;
    this.#state = {
      name: "ready",
      since: Date.now(),
      reason: null,
      live,
      running,
      ...whereaboutsOf(running),
      answer: Promise.resolve(live),
      readyAt: performance.now(),
      answeredBefore: this.#owner.usage.answered,
    };
    return live;
  }

  /** It has hit a limit that it lives on with. */
  strained(reason: string): void {
    if (this.#state.name === "ready") this.#state = { ...this.#state, reason };
  }

  /** Takes no call any more; where it `isAnswering` it goes on with those that it has. */
  drain({ reason, gone, isAnswering }: Drain): void {
    this.#state = {
      name: "draining",
      since: Date.now(),
      reason,
      isAnswering,
      ...this.#whereabouts,
    };
    this.gone = gone;
  }

  /** No call of it is answered any more; false where that was so before. */
  endAnswering(): boolean {
    if (this.#state.name !== "draining" || !this.#state.isAnswering) return false;
    this.#state = { ...this.#state, isAnswering: false };
    return true;
  }

  /** Tells everybody, once, that it has ended. */
  finish(ended: Ended): void {
    if (this.#finish === undefined) return;
    this.#finish(ended);
    this.#finish = undefined;
    const target = this.#live?.target;
    if (target?.transport === "stdio") hubOf(target).end();
  }

  get #whereabouts(): Whereabouts {
    return this.#running === undefined ? NOWHERE : whereaboutsOf(this.#running);
  }

  /** See `Live.ending`. */
  async #ending(running: Running, exited: Promise<Ended>): Promise<Ended | undefined> {
    if (isChildless(running)) return undefined;
    if (this.isAnswering && !(await running.isEnding())) return undefined;
    const patienceMs = running.isGone() ? SURE_ENDING_MS : MAX_ENDING_MS;
    return await withDeadline<Ended | undefined>(exited, patienceMs, () => undefined);
  }
}
