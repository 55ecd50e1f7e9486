import { setTimeout as delay } from "node:timers/promises";
import type { Running } from "../engines/engine.ts";
import { isRemote, portOf } from "./instance-types.ts";
import type { Ended, InstanceState, Live, Ref } from "./instance-types.ts";
import type { StdioTarget, Target } from "../links/target.ts";
import { WELL_AFTER_MS } from "./restart-policy.ts";
import type { Usage } from "./usage.ts";
import { Work } from "./work.ts";

/** How long the end of a child may take that is on its way out, on a loaded machine too. */
const MAX_ENDING_MS = 100;

type StateOf<Name extends InstanceState["name"]> = Extract<InstanceState, { name: Name }>;
/** `answer` is the same for every caller of `ensure`, which is asked once a message. */
export type Ready = StateOf<"ready"> & {
  answer: Promise<Live>;
  readyAt: number;
  answeredBefore: number;
};
type State = StateOf<"starting"> | Ready | StateOf<"draining">;

const hubOf = (target: StdioTarget) => (target.era === "modern" ? target.hub : target.shared);

/** What an admin is shown of one generation; `since` is epoch ms. */
export interface GenerationRow {
  generation: number;
  state: State["name"];
  since: number;
  pid: number | null;
  port: number | null;
  /** Calls that it has to answer still. */
  inFlight: number;
}

/** One generation of an instance: starting → ready → draining, until nothing of it is left. */
export class Generation {
  readonly number: number;
  readonly work = new Work();
  /** `performance.now()` of its child's start: a failure after that is held against the instance. */
  begunAt = 0;
  /** The next one may run beside it. */
  isHandedOver = false;
  /** Resolves when nothing of it is left, once it drains. */
  gone: Promise<void> = Promise.resolve();
  readonly #ref: Ref;
  readonly #usage: Usage;
  #state: State = { name: "starting", since: Date.now(), pid: null, port: null };
  #running: Running | undefined;
  #live: Live | undefined;
  #finish: ((ended: Ended) => void) | undefined;

  constructor(ref: Ref, number: number, usage: Usage) {
    this.#ref = ref;
    this.number = number;
    this.#usage = usage;
  }

  get state(): State {
    return this.#state;
  }

  /** What new calls are handed; undefined where it takes none, or could answer none. */
  get live(): Live | undefined {
    if (this.#state.name !== "ready" || this.#state.running.isSpent) return undefined;
    return this.#state.live;
  }

  /** It has lived for a while, or has been of use. */
  get isWell(): boolean {
    if (this.#state.name !== "ready") return false;
    const { readyAt, answeredBefore } = this.#state;
    return performance.now() - readyAt >= WELL_AFTER_MS || this.#usage.answered > answeredBefore;
  }

  /** Its child runs, and is not ready yet. */
  spawned(running: Running): void {
    this.#running = running;
    this.#state = { name: "starting", since: this.#state.since, ...this.#place };
  }

  /** Its child answers. */
  becomeReady(target: Target, running: Running): Live {
    this.#running = running;
    const exited = new Promise<Ended>((resolve) => (this.#finish = resolve));
    const live: Live = {
      ref: this.#ref,
      generation: this.number,
      target,
      pid: running.pid,
      work: this.work,
      exited,
      ending: () => this.#ending(running, exited),
    };
    this.#live = live;
    this.#state = {
      name: "ready",
      since: Date.now(),
      reason: null,
      live,
      running,
      port: portOf(running),
      answer: Promise.resolve(live),
      readyAt: performance.now(),
      answeredBefore: this.#usage.answered,
    };
    return live;
  }

  /** It has hit a limit that it lives on with. */
  strained(reason: string): void {
    if (this.#state.name === "ready") this.#state = { ...this.#state, reason };
  }

  /** Takes no call any more. */
  drain(reason: string, gone: Promise<void>): void {
    this.#state = { name: "draining", since: Date.now(), reason, ...this.#place };
    this.gone = gone;
  }

  /** Tells everybody, once, that it has ended. */
  finish(ended: Ended): void {
    this.#finish?.(ended);
    const target = this.#live?.target;
    if (target?.transport === "stdio") hubOf(target).end();
  }

  row(): GenerationRow {
    const { name: state, since } = this.#state;
    const { inFlight } = this.work;
    return { generation: this.number, state, since, ...this.#place, inFlight };
  }

  get #place(): { pid: number | null; port: number | null } {
    const running = this.#running;
    return running === undefined
      ? { pid: null, port: null }
      : { pid: running.pid, port: portOf(running) };
  }

  /** See `Live.ending`. */
  async #ending(running: Running, exited: Promise<Ended>): Promise<Ended | undefined> {
    if (isRemote(running)) return undefined;
    if (this.#state.name !== "draining" && !(await running.isEnding())) return undefined;
    const timer = new AbortController();
    const late = delay(MAX_ENDING_MS, undefined, { signal: timer.signal }).catch(() => undefined);
    const ended = await Promise.race([exited, late]);
    timer.abort();
    return ended;
  }
}
