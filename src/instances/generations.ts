import { counted } from "../errors.ts";
import { Generation } from "./generation.ts";
import { isDown } from "./instance-row.ts";
import { isChildless } from "./instance-types.ts";
import { releaseHolds } from "./usage.ts";
import { watchChild } from "./watch-child.ts";
import type { ServerDef } from "../config/config.ts";
import type { Running } from "../engines/engine.ts";
import type { Owner } from "./generation.ts";
import type { InstanceFailure } from "./history.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { DownState, Ended, GenerationState, InstanceState, Live } from "./instance-types.ts";
import type { Launching } from "./launch-types.ts";
import type { Standing } from "./standing.ts";

/** How many generations that others took over from may answer their calls at the same time. */
const MAX_ANSWERING = 4;
/** What is kept of the last words of a child that ended unasked. */
const LAST_LINES = 10;

/** What holds where nothing runs. */
interface Rest {
  readonly state: DownState;
  /** The last generation ended, or failed to start, without being asked to. */
  readonly isUnasked: boolean;
}

export interface GenerationsOptions {
  readonly owner: Owner;
  readonly context: InstanceContext;
  readonly standing: Standing;
  /** The one that served has ended by itself. */
  readonly onLost: () => void;
}

/**
 * The generations of one instance of which something is left, each from its start to its end, and why
 * there is none. One at most serves; another may start beside it, and others drain, which have calls
 * to answer still.
 */
export class Generations {
  /** The one that takes calls. Asked once a message, and so kept. */
  serving: Generation | undefined;
  readonly #options: GenerationsOptions;
  #all: readonly Generation[] = [];
  #rest: Rest = { state: { name: "stopped", since: Date.now(), reason: null }, isUnasked: false };
  #starts = 0;
  #restarts = 0;

  constructor(options: GenerationsOptions) {
    this.#options = options;
  }

  /** How many starts there were. */
  get starts(): number {
    return this.#starts;
  }

  /** How many of them followed an end nobody asked for. */
  get restarts(): number {
    return this.#restarts;
  }

  /** The one that the instance's state is about. */
  get current(): Generation | undefined {
    return this.serving ?? this.#all.findLast(({ isHandedOver }) => !isHandedOver);
  }

  /** All but the current one, the newest first. */
  get others(): Generation[] {
    const { current } = this;
    return this.#all.filter((generation) => generation !== current).toReversed();
  }

  get state(): InstanceState {
    return this.current?.state ?? this.#rest.state;
  }

  /** Why nothing ran when last nothing did. */
  get restReason(): string | null {
    return this.#rest.state.reason;
  }

  /** Nothing runs, and the last one ended or failed to start without being asked to. */
  get hasFailed(): boolean {
    return isDown(this.state.name) && this.#rest.isUnasked;
  }

  /** The next one, which is none of them before `add`. */
  next(def: ServerDef): Generation {
    return new Generation(this.#options.owner, ++this.#starts, def);
  }

  add(generation: Generation): void {
    this.#all = [...this.#all, generation];
    // What is no child is ready in the same moment.
    if (generation.def.kind === "child") this.#tell(generation, "starting");
  }

  /** Its child is about to be started. */
  begin(generation: Generation): void {
    generation.begunAt = performance.now();
    if (this.#rest.isUnasked) {
      this.#restarts++;
      this.#options.context.events.emit("restarted", { ref: generation.ref });
    }
    this.setUnasked(false);
  }

  /** Its child answers. The one that served until now is for the caller to end. */
  becomeReady(generation: Generation, ready: Launching): Live {
    const { running, broken } = ready;
    this.#options.standing.fallen = undefined;
    const live = generation.becomeReady(ready);
    this.serving = generation;
    this.#tell(generation, "ready");
    this.log("info", generation, "ready");
    watchChild(running, broken, {
      isServing: () => generation.isAnswering,
      strained: (how) => {
        generation.strained(how);
        this.log("warn", generation, how);
      },
      busy: (how) => this.log("warn", generation, how),
      leaving: (reason) => {
        // What it fails at is told by the state.
        this.#options.owner.handOver(reason).catch(() => {});
      },
      ended: (how) => {
        if (generation.state.name === "ready") this.#crashed(generation, running, how);
        else this.#diedAnswering(generation, running, how);
      },
    });
    return live;
  }

  /** What the start that is under way waits for, in words. */
  get waitingFor(): string | null {
    return this.#all.at(-1)?.waitingFor ?? null;
  }

  /** Lets go of the one that serves, for the next daemon to take over; false where it would end with this one. */
  leaveServing(): boolean {
    const { serving } = this;
    const leave = serving?.state.name === "ready" ? serving.state.running.leave : undefined;
    if (serving === undefined || leave === undefined) return false;
    leave();
    this.log("info", serving, "left to the next daemon");
    return true;
  }

  /** Ends the one that serves, at once. */
  end(generation: Generation, reason: string): void {
    const running = this.#retire(generation, reason);
    if (running === undefined) return;
    this.#becomeDraining(generation, reason, running.stop());
    this.#finishWith(generation, running, reason);
  }

  /** Lets the one that serves answer the calls that it has, and ends it after so long at the latest. */
  drain(generation: Generation, reason: string, withinMs: number): void {
    const running = this.#retire(generation, reason);
    if (running === undefined) return;
    const stop = async (): Promise<void> => {
      await generation.work.done(withinMs);
      this.#endAnswering(generation, reason);
      await running.stop();
    };
    this.#becomeDraining(generation, reason, stop(), true);
    this.#finishWith(generation, running, reason);
  }

  /** As `drain`, where another one serves already: who comes next need not wait for its end. */
  handOver(generation: Generation, reason: string, withinMs: number): void {
    generation.isHandedOver = true;
    this.drain(generation, reason, withinMs);
  }

  /** It will not become ready: what there is of its child is on its way out. */
  giveUp(generation: Generation, reason: string, gone: Promise<unknown>): void {
    this.#becomeDraining(generation, reason, gone);
  }

  /** Nothing of it is left. */
  leave(generation: Generation, reason: string): void {
    const { current } = this;
    this.#all = this.#all.filter((one) => one !== generation);
    this.#options.context.left(generation);
    this.#tell(generation, "gone");
    if (current === generation && this.current === undefined) this.becomeDown(reason);
  }

  /** Where nothing runs: stopped, or for how long the policy lets nothing run. */
  becomeDown(reason: string): void {
    const { policy } = this.#options.standing;
    this.#rest = { ...this.#rest, state: policy.down(Date.now(), reason) };
    if (policy.isParked)
      this.log("warn", undefined, `parked after ${policy.failures} failures in a row: ${reason}`);
  }

  /** Resolves when nothing is left of those that the next one must not run beside. */
  async gone(): Promise<void> {
    await allGone(this.#all.filter(({ isHandedOver }) => !isHandedOver));
  }

  /** One more is about to be taken over from: whoever has answered for the longest time has to be done. */
  makeWay(): void {
    const answering = this.#all.filter(({ isHandedOver }) => isHandedOver);
    const tooMany = Math.max(0, answering.length + 1 - MAX_ANSWERING);
    for (const { work } of answering.slice(0, tooMany)) work.hurry();
  }

  /** Nobody waits any more for the answers of those that drain. Resolves when nothing is left of them. */
  async hurry(): Promise<void> {
    const draining = this.#all.filter(({ state }) => state.name === "draining");
    for (const { work } of draining) work.hurry();
    await allGone(draining);
  }

  /** Whether the last one ended, or failed to start, without being asked to. */
  setUnasked(isUnasked: boolean): void {
    this.#rest = { ...this.#rest, isUnasked };
  }

  /** It failed to start, or ended unasked. */
  noteFailure(generation: Generation, what: Omit<InstanceFailure, "at" | "generation">): void {
    const { context, owner, standing } = this.#options;
    const failure = { at: Date.now(), generation: generation.number, ...what };
    standing.output.noteFailed({ ref: owner.ref, generation: generation.number });
    standing.note(failure, this.serving === undefined ? owner.row() : undefined);
    context.events.emit("failed", { ref: owner.ref });
  }

  log(level: "info" | "warn", generation: Generation | undefined, message: string): void {
    const { context, owner } = this.#options;
    const known = {
      generation: generation?.number ?? this.#starts,
      childPid: generation?.live?.pid,
      pod: generation?.place ?? undefined,
      port: generation?.port ?? null,
    };
    context.log[level]({ ...owner.ref, ...known }, `child: ${message}`);
  }

  /** It is no failure that it ends now. */
  #retire(generation: Generation, reason: string): Running | undefined {
    if (generation.state.name !== "ready") return undefined;
    if (generation.isWell) this.#options.standing.policy.clear();
    this.setUnasked(false);
    this.log("info", generation, reason);
    return generation.state.running;
  }

  #becomeDraining(
    generation: Generation,
    reason: string,
    ending: Promise<unknown>,
    isAnswering = false,
  ): void {
    const gone = ending.then(() => this.leave(generation, reason));
    generation.drain({ reason, gone, isAnswering });
    if (this.serving === generation) this.serving = undefined;
    this.#tell(generation, "draining");
  }

  /** The time for its calls is over. Those it has still are told now: it may take a while to end. */
  #endAnswering(generation: Generation, reason: string): void {
    const { inFlight } = generation.work;
    if (!generation.endAnswering() || inFlight === 0) return;
    this.#options.context.events.emit("cut-short", { ref: generation.ref });
    this.log("warn", generation, `ended with ${counted(inFlight, "call")} under way`);
    this.#finish(generation, { reason: spoken(reason), exit: null });
  }

  #finishWith(generation: Generation, running: Running, reason: string): void {
    void running.exited.then((exit) =>
      this.#finish(generation, {
        reason: spoken(reason),
        exit: isChildless(running) ? null : exit,
      }),
    );
  }

  #crashed(generation: Generation, running: Running, ended: Ended): void {
    const { standing, owner, onLost } = this.#options;
    const { policy, output } = standing;
    const { reason, exit, failure } = ended;
    this.log("warn", generation, reason);
    const lines = output.tail(
      { ref: owner.ref, generation: generation.number },
      LAST_LINES,
      generation.state.since,
    );
    if (generation.isWell) policy.clear();
    else policy.failed(`${reason} before it had answered a call`, generation.begunAt);
    this.setUnasked(true);
    // Grandchildren may hold the port, and nobody is left to end them in good order.
    this.#becomeDraining(generation, reason, running.kill());
    this.noteFailure(generation, { code: failure?.code ?? null, reason, exit, lines });
    onLost();
    this.#finish(generation, { ...ended, byItself: true });
  }

  /** It ended by itself while it had calls to answer still, and takes them with it. */
  #diedAnswering(generation: Generation, running: Running, ended: Ended): void {
    this.log("warn", generation, ended.reason);
    generation.endAnswering();
    void running.kill();
    generation.work.hurry();
    this.#finish(generation, { ...ended, byItself: true });
  }

  #finish(generation: Generation, ended: Ended): void {
    // What it was kept for is gone with it, unless another one has taken that over.
    const { current } = this;
    if (current === undefined || current === generation) releaseHolds(this.#options.owner.usage);
    generation.finish(ended);
  }

  #tell({ ref, number }: Generation, state: GenerationState): void {
    this.#options.context.events.emit("state", { ref, generation: number, state });
  }
}

async function allGone(generations: readonly Generation[]): Promise<void> {
  await Promise.all(generations.map(({ gone }) => gone));
}

/** As a predicate of the child: `stopped by an admin` → `was stopped by an admin`. */
const spoken = (reason: string): string => reason.replace(/^(?:stopped|restarted)\b/, "was $&");
