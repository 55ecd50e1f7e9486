import { SupervisorError, toSupervisorError } from "../errors.ts";
import { failureOf, reasonOf } from "./failures.ts";
import { Generation } from "./generation.ts";
import { Generations } from "./generations.ts";
import { launchNext } from "./launch-next.ts";
import { launchRemote } from "./launch-remote.ts";
import { isDown, rowOf } from "./instance-row.ts";
import { isRemote } from "./instance-types.ts";
import { isShortage } from "./restart-policy.ts";
import { AGAIN, Start } from "./start.ts";
import { watchChild } from "./watch-child.ts";
import { releaseHolds, idleSince, newUsage, attachAll } from "./usage.ts";
import type { ChildServer, RemoteServer } from "../config/config.ts";
import type { Running } from "../engines/engine.ts";
import type { GenerationRow } from "./generation.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { DownState, Ended, InstanceRow, InstanceState, Live, Ref } from "./instance-types.ts";
import type { Standing } from "./standing.ts";
import type { InstanceFailure } from "./history.ts";
import type { Launched, NotLaunched } from "./launch-types.ts";

const DONE = Promise.resolve();
/** What is kept of the last words of a child that ended unasked. */
const LAST_LINES = 10;

type Ready = Pick<Launched, "running" | "target"> & Partial<Launched>;

/** What holds between generations. */
interface Rest {
  readonly state: DownState;
  /** The last generation ended, or failed to start, without being asked to. */
  readonly isUnasked: boolean;
  /** What whoever wants a child is told, for good. */
  readonly refusal?: SupervisorError;
}

/**
 * One (user, server, variant): one generation of it at most takes calls. Others may drain beside it,
 * which have calls to answer still.
 *
 * stopped → starting → ready → draining → stopped. A start that fails goes through draining too when
 * there is a process tree to end. The next generation waits until nothing is left of the last one,
 * unless that handed its work over. After a failure (an end before it was ready, or soon after without
 * one call answered) comes backing-off in place of stopped, and parked after many in a row; see
 * RestartPolicy.
 */
export class Instance {
  readonly ref: Ref;
  readonly usage = newUsage();
  /** The version that the client asked for that came last. */
  wanted: string | undefined;
  readonly #standing: Standing;
  readonly #context: InstanceContext;
  /** What the clients of a stdio child declared, as JSON text. */
  readonly #capabilities: string;
  readonly #generations = new Generations();
  #rest: Rest = { state: { name: "stopped", since: Date.now(), reason: null }, isUnasked: false };
  #start: Start | undefined;
  #starts = 0;
  #restarts = 0;
  #wantedAt = 0;

  constructor(ref: Ref, context: InstanceContext, capabilities: string, standing: Standing) {
    this.ref = ref;
    this.#context = context;
    this.#standing = standing;
    this.#capabilities = capabilities;
  }

  get state(): InstanceState["name"] {
    return this.#state.name;
  }

  /** How many starts there were. */
  get generation(): number {
    return this.#starts;
  }

  /** The last generation ended or failed to start without being asked to. */
  get hasFailed(): boolean {
    return isDown(this.state) && this.#rest.isUnasked;
  }

  /** The generation that takes calls now. */
  get live(): Live | undefined {
    return this.#generations.newest?.live;
  }

  /** Since when (`performance.now()`) the child that is ready has been of no use; undefined where it is in use, down or a remote. */
  get idleSince(): number | undefined {
    const newest = this.#generations.newest;
    if (newest?.state.name !== "ready" || isRemote(newest.state.running)) return undefined;
    return idleSince(this.usage, Math.max(newest.state.readyAt, this.#wantedAt));
  }

  /**
   * Resolves with the generation that is ready; starts one if there is none. Calls that arrive while
   * a start is under way share it, and one that gives up does not end it for the others.
   *
   * After a failure it waits for the next try where that comes within the server's `startTimeout`.
   *
   * Rejects with INSTANCE_BACKING_OFF where it does not, INSTANCE_SPAWN_FAILED, INSTANCE_EXITED,
   * INSTANCE_START_TIMEOUT, INSTANCE_LIMIT, TOO_MANY_CHILDREN, TOKEN_MISSING, SERVER_NOT_FOUND, or
   * STOPPING.
   */
  ensure(): Promise<Live> {
    // Until the message that wants it is under way, nothing else keeps the child.
    this.#wantedAt = performance.now();
    const state = this.#generations.newest?.state;
    if (state?.name === "ready") {
      if (!state.running.isSpent) return state.answer;
      // Its end is told in a moment.
      return state.live.exited.then(() => this.ensure());
    }
    const { refusal } = this.#rest;
    if (refusal !== undefined) return Promise.reject(refusal);
    return (this.#start ?? this.#begin()).answer;
  }

  /**
   * Ends what runs, starts or waits to start; resolves when nothing of it is left. Callers that wait
   * for a start get INSTANCE_EXITED with the reason (`stopped by an admin`).
   */
  async stop(reason: string): Promise<void> {
    const what = `the child was ended before it was ready: ${reason}`;
    await this.#stop(reason, failureOf(this.ref, "INSTANCE_EXITED", what));
  }

  /** As `stop`, and from now on `ensure` rejects with `refusal`. */
  async close(reason: string, refusal: SupervisorError): Promise<void> {
    this.#rest = { ...this.#rest, refusal };
    await this.#stop(reason, refusal);
  }

  /**
   * Replaces what runs by a new generation, and resolves when nothing of the old one is left. A start
   * under way begins anew, for the same callers. One that is down stays so, with nothing held against it.
   */
  async restart(reason: string): Promise<void> {
    this.forgive();
    const newest = this.#generations.newest;
    if (this.#start !== undefined) return this.#start.again();
    if (newest?.state.name !== "ready") return;
    this.#drain(newest, newest.state.running, reason);
    this.#begin();
    await newest.gone;
  }

  /**
   * Lets a new generation take the calls from now on, while the one that is ready answers those that
   * it has, for `withinMs` at most. Resolves when nothing of that one is left. Where none is ready, it
   * does nothing.
   */
  async handOver(reason: string, withinMs: number): Promise<void> {
    const newest = this.#generations.newest;
    if (newest?.state.name !== "ready") return;
    const { endpoint } = newest.state.running;
    // There is no second one of that port.
    if (endpoint.kind === "port" && endpoint.isPinned) return await this.restart(reason);
    newest.isHandedOver = true;
    this.#drain(newest, newest.state.running, reason, newest.work.done(withinMs));
    this.#begin();
    await newest.gone;
  }

  /** Forgets the failures: who waits for the next try goes on, and the next message starts the child at once. */
  forgive(): void {
    this.#standing.forgive();
    if (!isDown(this.state) || this.state === "stopped") return;
    if (this.#start !== undefined) this.#start.again();
    else this.#becomeDown(this.#rest.state.reason ?? "");
  }

  row(): InstanceRow {
    const def = this.#context.servers(this.ref.server);
    return rowOf({
      ref: this.ref,
      state: this.#state,
      usage: this.usage,
      generation: this.#starts,
      restarts: this.#restarts,
      // What the one that is ready now made good is held against nobody.
      failures: this.#generations.newest?.isWell === true ? 0 : this.#standing.policy.failures,
      isolation: def?.kind === "child" ? this.#context.engines.child.levelOf(def) : null,
    });
  }

  /** One row for each generation of which something is left, the newest first. */
  generations(): GenerationRow[] {
    return this.#generations.rows();
  }

  /** Memory of the whole process tree, null where none is alive or it cannot be read. */
  async rssBytes(): Promise<number | null> {
    return this.#state.name === "ready" ? await this.#state.running.rssBytes() : null;
  }

  get #state(): InstanceState {
    return this.#generations.newest?.state ?? this.#rest.state;
  }

  #begin(): Start {
    const start = new Start((signal) => this.#attempt(signal));
    this.#start = start;
    const settle = (): void => {
      if (this.#start === start) this.#start = undefined;
    };
    start.answer.then(settle, settle);
    return start;
  }

  async #attempt(signal: AbortSignal): Promise<Live> {
    const { policy } = this.#standing;
    const patienceMs = this.#context.servers(this.ref.server)?.startTimeoutMs ?? 0;
    const tooEarly = policy.refusal(this.ref, patienceMs);
    // Also keeps this function from ending before whoever began the start has noted it.
    await (tooEarly ? Promise.reject(tooEarly) : this.#generations.gone());
    signal.throwIfAborted();
    await policy.wait(signal);
    return await this.#startNext(signal);
  }

  async #startNext(signal: AbortSignal): Promise<Live> {
    const def = this.#context.servers(this.ref.server);
    if (!def) throw failureOf(this.ref, "SERVER_NOT_FOUND", "there is no such server");
    const earlier = this.#rest.state.reason;
    const generation = new Generation(this.ref, ++this.#starts, this.usage);
    try {
      if (def.kind === "remote") return await this.#startRemote(generation, def, signal);
      this.#generations.add(generation);
      this.#tellState();
      return await this.#startInTurn(generation, def, signal);
    } catch (error) {
      const failure = toSupervisorError(error);
      // It was nobody's turn: why the child failed before is what an admin wants to know still.
      const isOutOfTurn = failure.code === "INSTANCE_BACKING_OFF" || failure === AGAIN;
      const reason = (isOutOfTurn ? earlier : null) ?? reasonOf(this.ref, failure);
      if (generation.state.name !== "draining") this.#leave(generation, reason);
      if (!signal.aborted && !isOutOfTurn) {
        this.#log("warn", `not started: ${reason}`);
        this.#noteFailure({ code: failure.code, reason, exit: null, lines: failure.details });
      }
      throw failure;
    }
  }

  async #startRemote(generation: Generation, def: RemoteServer, signal: AbortSignal) {
    const launched = await launchRemote(this.#context, this.ref, def, signal);
    this.#generations.add(generation);
    return this.#becomeReady(generation, launched);
  }

  async #startInTurn(generation: Generation, def: ChildServer, signal: AbortSignal): Promise<Live> {
    const { admit, scheduler } = this.#context;
    await admit(this.ref, signal);
    const options = { failures: this.#standing.policy.failures, patienceMs: def.startTimeoutMs };
    const start = () => this.#startChild(generation, def, signal);
    return await scheduler.run(this.ref, signal, start, options);
  }

  async #startChild(generation: Generation, def: ChildServer, signal: AbortSignal): Promise<Live> {
    const { events, onExposed } = this.#context;
    const { policy, output } = this.#standing;
    // Another session's child failed while this one waited for its turn.
    if (policy.isTooEarly) this.#start?.again();
    signal.throwIfAborted();
    generation.begunAt = performance.now();
    if (this.#rest.isUnasked) {
      this.#restarts++;
      events.emit("restarted", { ref: this.ref });
    }
    this.#rest = { ...this.#rest, isUnasked: false };
    const { ref, wanted } = this;
    const onSpawn = (): void => this.#tellState();
    const own = { ref, wanted, output, capabilities: this.#capabilities };
    const outcome = await launchNext(this.#context, { ...own, def, generation, onSpawn, signal });
    if (!outcome.isReady) {
      this.#rest = { ...this.#rest, isUnasked: !signal.aborted };
      if (!signal.aborted && !isShortage(outcome.failure))
        policy.failed(reasonOf(this.ref, outcome.failure), generation.begunAt);
      throw this.#drainFailed(generation, outcome);
    }
    if (outcome.exposed.length > 0) onExposed(this.ref.server, outcome.exposed);
    return this.#becomeReady(generation, outcome);
  }

  #becomeReady(generation: Generation, { target, running, broken }: Ready): Live {
    this.#standing.fallen = undefined;
    const live = generation.becomeReady(target, running);
    this.#tellState();
    this.#log("info", "ready");
    watchChild(running, broken, {
      isServing: () => generation.state.name === "ready",
      strained: (how) => this.#strained(generation, how),
      busy: (how) => this.#log("warn", how),
      ended: (how) => this.#crashed(generation, how),
    });
    attachAll(this.usage, live);
    return live;
  }

  #strained(generation: Generation, reason: string): void {
    generation.strained(reason);
    this.#tellState();
    this.#log("warn", reason);
  }

  #crashed(generation: Generation, ended: Ended): void {
    if (generation.state.name !== "ready") return;
    const { running } = generation.state;
    this.#rest = { ...this.#rest, isUnasked: true };
    const { reason, exit, failure } = ended;
    const { policy, output } = this.#standing;
    this.#log("warn", reason);
    const lines = output.tail(this.ref.variant, LAST_LINES, this.#state.since);
    this.#noteFailure({ code: failure?.code ?? null, reason, exit, lines });
    if (generation.isWell) policy.clear();
    else policy.failed(`${reason} before it had answered a call`, generation.begunAt);
    // Grandchildren may hold the port, and nobody is left to end them in good order.
    this.#becomeDraining(generation, reason, running.kill());
    this.#finish(generation, ended);
  }

  /** Stops it once `done` has resolved. */
  #drain(generation: Generation, running: Running, reason: string, done = DONE): void {
    if (generation.isWell) this.#standing.policy.clear();
    this.#log("info", reason);
    const ending = done === DONE ? running.stop() : done.then(() => running.stop());
    this.#becomeDraining(generation, reason, ending);
    void running.exited.then((exit) =>
      this.#finish(generation, { reason, exit: isRemote(running) ? null : exit }),
    );
  }

  #drainFailed(generation: Generation, { failure, running, gone }: NotLaunched): SupervisorError {
    if (running !== undefined) this.#becomeDraining(generation, reasonOf(this.ref, failure), gone);
    return failure;
  }

  #becomeDraining(generation: Generation, reason: string, ending: Promise<unknown>): void {
    generation.drain(
      reason,
      ending.then(() => this.#leave(generation, reason)),
    );
    this.#tellState();
  }

  /** Nothing of it is left. */
  #leave(generation: Generation, reason: string): void {
    this.#generations.delete(generation);
    if (generation.number === this.#starts) this.#becomeDown(reason);
    else this.#tellState();
  }

  /** Where nothing runs: stopped, or for how long the policy lets nothing run. */
  #becomeDown(reason: string): void {
    const { policy } = this.#standing;
    this.#rest = { ...this.#rest, state: policy.down(Date.now(), reason) };
    this.#tellState();
    if (policy.isParked)
      this.#log("warn", `parked after ${policy.failures} failures in a row: ${reason}`);
  }

  #finish(generation: Generation, ended: Ended): void {
    // What it was kept for is gone with it, unless another one has taken that over.
    if (generation.number === this.#starts) releaseHolds(this.usage);
    generation.finish(ended);
  }

  async #stop(reason: string, failure: SupervisorError): Promise<void> {
    // Without a wait where nothing starts: what is ready is handed out to nobody from now on.
    if (this.#start !== undefined) await this.#start.halt(failure);
    const newest = this.#generations.newest;
    if (newest?.state.name === "ready") this.#drain(newest, newest.state.running, reason);
    else if (isDown(this.state) && this.#standing.policy.failures === 0) this.#becomeDown(reason);
    await this.#generations.hurry();
  }

  #noteFailure(what: Omit<InstanceFailure, "at" | "generation">): void {
    this.#standing.note({ at: Date.now(), generation: this.#starts, ...what }, this.row());
    this.#context.events.emit("failed", { ref: this.ref });
  }

  #tellState(): void {
    this.#context.events.emit("state", { ref: this.ref, state: this.state });
  }

  #log(level: "info" | "warn", message: string): void {
    const port = "port" in this.#state ? this.#state.port : null;
    const known = { generation: this.#starts, childPid: this.live?.pid, port };
    this.#context.log[level]({ ...this.ref, ...known }, `child: ${message}`);
  }
}
