import { SupervisorError, toSupervisorError } from "../errors.ts";
import { fitsBeside } from "./beside.ts";
import { asNext, failureOf, reasonOf } from "./failures.ts";
import { Generations } from "./generations.ts";
import { launchNext } from "./launch-next.ts";
import { launchAtOnce } from "./launch-at-once.ts";
import { isDown, partOf, rowOf } from "./instance-row.ts";
import { isChildless } from "./instance-types.ts";
import { isShortage } from "./restart-policy.ts";
import { giveToken } from "./new-token.ts";
import { AGAIN, Start } from "./start.ts";
import { Succession } from "./succession.ts";
import { tellFollowers, idleSince, newUsage } from "./usage.ts";
import type { ChildServer, ServerDef } from "../config/config.ts";
import type { Generation, Owner } from "./generation.ts";
import type { Part } from "./instance-row.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { InstanceRow, InstanceState, Live, Ref } from "./instance-types.ts";
import type { Standing } from "./standing.ts";
import type { Launching, NotLaunched } from "./launch-types.ts";

/** One that nobody has used for so long is not worth a second child beside it. */
const UNUSED_MS = 60_000;

/**
 * One (user, server, variant): one generation of it at most takes calls. Another may start beside it,
 * to take over, and others drain, which have calls to answer still.
 *
 * stopped → starting → ready → draining → stopped. A start that fails goes through draining too when
 * there is a process tree to end. The next generation waits until nothing is left of the last one,
 * unless it takes over from that. After a failure (an end before it was ready, or soon after without
 * one call answered) comes backing-off in place of stopped, and parked after many in a row; see
 * RestartPolicy.
 */
export class Instance implements Owner {
  readonly ref: Ref;
  readonly usage = newUsage();
  /** The version that the client asked for that came last. */
  wanted: string | undefined;
  readonly #standing: Standing;
  readonly #context: InstanceContext;
  /** What the clients of a stdio child declared, as JSON text. */
  readonly #capabilities: string;
  readonly #generations: Generations;
  /** What whoever wants a child is told, for good. */
  #refusal: SupervisorError | undefined;
  #start: Start | undefined;
  #succession: Succession | undefined;
  /** What the last generation was started as that became ready. */
  #works: ServerDef | undefined;
  #wantedAt = 0;

  constructor(ref: Ref, context: InstanceContext, capabilities: string, standing: Standing) {
    this.ref = ref;
    this.#context = context;
    this.#standing = standing;
    this.#capabilities = capabilities;
    // Whoever needs a child now waits for its start, as for any other.
    const onLost = (): void => this.#endSuccession();
    this.#generations = new Generations({ owner: this, context, standing, onLost });
  }

  get state(): InstanceState["name"] {
    return this.#generations.state.name;
  }

  /** How many starts there were. */
  get generation(): number {
    return this.#generations.starts;
  }

  /** The last generation ended or failed to start without being asked to, and nothing runs. */
  get hasFailed(): boolean {
    return this.#generations.hasFailed;
  }

  /** The start that is under way. */
  get underWay(): Promise<Live> | undefined {
    return this.#start?.answer;
  }

  /** The generation that takes calls now. */
  get live(): Live | undefined {
    return this.#generations.serving?.live;
  }

  /** Since when (`performance.now()`) the child that is ready has been of no use; undefined where it is in use, down or no child. */
  get idleSince(): number | undefined {
    const state = this.#generations.serving?.state;
    return state?.name !== "ready" || isChildless(state.running) ? undefined : this.#unusedSince;
  }

  /**
   * Resolves with the generation that is ready; starts one if there is none. Calls that arrive while
   * a start is under way share it, and one that gives up does not end it for the others.
   *
   * After a failure it waits for the next try where that comes within the server's `startTimeout`. A
   * start that fails is told to who waited for it, except the first one in a row of a server that has
   * been ready before: they have the next one.
   *
   * Rejects with INSTANCE_BACKING_OFF where it does not, INSTANCE_SPAWN_FAILED, INSTANCE_EXITED,
   * INSTANCE_START_TIMEOUT, INSTANCE_LIMIT, TOO_MANY_CHILDREN, TOKEN_MISSING, SERVER_NOT_FOUND, or
   * STOPPING.
   */
  ensure(): Promise<Live> {
    // Until the message that wants it is under way, nothing else keeps the child.
    this.#wantedAt = performance.now();
    const state = this.#generations.serving?.state;
    if (state?.name === "ready") {
      if (!state.running.isSpent) return state.answer;
      // Its end is told in a moment.
      return state.live.exited.then(() => this.ensure());
    }
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
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
    this.#refusal = refusal;
    await this.#stop(reason, refusal);
  }

  /**
   * Replaces what runs by a new generation, and resolves when nothing of the old one is left. A start
   * under way begins anew, for the same callers. One that is down stays so, with nothing held against it.
   */
  async restart(reason: string): Promise<void> {
    this.#endSuccession();
    this.forgive();
    const { serving } = this.#generations;
    void this.#generations.hurry();
    if (serving !== undefined) this.#generations.end(serving, reason);
    if (this.#start !== undefined) this.#start.again();
    else if (serving !== undefined) this.#begin();
    await serving?.gone;
  }

  /**
   * Replaces what runs by a new generation, which starts beside it. When that is ready it takes the
   * calls, and the old one has `drainTimeout` to answer those that it has. Where the two cannot stand
   * beside each other, or there is no place for it, the old one takes no more calls at once, and the
   * new one starts when it is done with those that it has, within `startTimeout`. What nobody uses is
   * stopped and not replaced; else, where none is ready, a start under way begins anew.
   *
   * Resolves when the new one serves, or nothing is left of one that nobody uses. Rejects as `ensure`
   * with why the first try failed; it is tried again, and the old one goes on serving.
   */
  async handOver(reason: string): Promise<void> {
    this.#endSuccession();
    if (this.#generations.serving === undefined) {
      // Who takes no more calls answers those that it has.
      this.forgive();
      return this.#start?.again();
    }
    this.#generations.makeWay();
    if (this.#isUnused) return await this.stop(reason.replace(/^restarted\b/, "stopped"));
    this.#start?.again();
    this.#succession = new Succession(reason);
    await this.#takeOver(this.#succession);
  }

  /**
   * As `handOver`, for a new token. What runs and can be handed it goes on with it, and has it when this
   * returns; a start that has not taken its token yet takes the new one.
   */
  async renewToken(reason: string): Promise<void> {
    const isGiven = giveToken(this.#generations, this.#start !== undefined, this.#context);
    return isGiven ? this.forgive() : await this.handOver(reason);
  }

  /** Forgets the failures: who waits for the next try goes on, and the next message starts the child at once. */
  forgive(): void {
    this.#standing.forgive();
    this.#succession?.forgive();
    if (!isDown(this.state) || this.state === "stopped") return;
    if (this.#start !== undefined) this.#start.again();
    else this.#generations.becomeDown(this.#generations.restReason ?? "");
  }

  /** What it is up to. */
  row(): InstanceRow {
    const { current, others, starts, restarts, state } = this.#generations;
    const drained = others.reduce((sum, { work }) => sum + work.inFlight, 0);
    return rowOf({
      ref: this.ref,
      state,
      usage: { ...this.usage, inFlight: Math.max(0, this.usage.inFlight - drained) },
      generation: current?.number ?? starts,
      restarts,
      // What the one that is ready now made good is held against nobody.
      failures: current?.isWell === true ? 0 : this.#standing.policy.failures,
      isolation: this.#isolation,
      unreplaced: this.#succession?.failure,
    });
  }

  /** Itself, and each other generation of which something is left, the newest first. */
  parts(): Part[] {
    const { current, others, restarts } = this.#generations;
    const rssBytes = async (): Promise<number | null> => (await current?.rssBytes()) ?? null;
    const itself = { row: () => this.row(), rssBytes };
    return [itself, ...others.map((other) => partOf(other, restarts, () => this.#isolation))];
  }

  /** The state of each part. */
  states(): InstanceState["name"][] {
    return [this.state, ...this.#generations.others.map(({ state }) => state.name)];
  }

  get #isolation(): string | null {
    const def = this.#context.servers(this.ref.server);
    return def?.kind === "child" ? this.#context.engines.child.levelOf(def) : null;
  }

  /** The one that serves has no calls, nothing keeps it, and that for a while. */
  get #isUnused(): boolean {
    const since = this.#unusedSince;
    if (since === undefined || this.#generations.serving!.work.inFlight > 0) return false;
    return performance.now() - since >= UNUSED_MS;
  }

  /** As `idleSince`, of what is no child too. */
  get #unusedSince(): number | undefined {
    const state = this.#generations.serving?.state;
    if (state?.name !== "ready") return undefined;
    return idleSince(this.usage, Math.max(state.readyAt, this.#wantedAt));
  }

  #begin(): Start {
    const isAccident = (failure: SupervisorError): boolean => this.#isAccident(failure);
    const start = new Start((signal) => this.#attempt(signal), isAccident);
    this.#start = start;
    const settle = (): void => {
      if (this.#start === start) this.#start = undefined;
    };
    start.answer.then(settle, settle);
    return start;
  }

  async #takeOver(succession: Succession): Promise<void> {
    try {
      await (this.#start ?? this.#begin()).answer;
    } catch (error) {
      const failure = toSupervisorError(error);
      // It is not wanted any more, or nothing serves that could go on.
      if (succession.isOver) throw failure;
      const why = asNext(this.ref, failure);
      succession.failed(why);
      const again = async (): Promise<void> => {
        await succession.wait();
        await this.#takeOver(succession);
      };
      // What it fails at is told by the state.
      again().catch(() => {});
      const { code, details } = failure;
      const what = `${why}; the one before goes on serving`;
      throw failureOf(this.ref, code, what, { cause: failure, details });
    }
  }

  #endSuccession(): void {
    this.#succession?.end();
    this.#succession = undefined;
  }

  async #attempt(signal: AbortSignal): Promise<Live> {
    const { serving } = this.#generations;
    if (serving !== undefined) return await this.#startBeside(serving, signal);
    return await this.#startAlone(signal);
  }

  /** The first failure in a row of a server that was ready before, as it is now: an accident. */
  #isAccident({ code }: SupervisorError): boolean {
    if (code !== "INSTANCE_EXITED") return false;
    // What a next generation fails at is counted once the start has failed for good.
    const failures = this.#succession?.failures ?? this.#standing.policy.failures - 1;
    return failures === 0 && this.#works === this.#context.servers(this.ref.server);
  }

  async #startAlone(signal: AbortSignal, next?: Generation): Promise<Live> {
    const { policy } = this.#standing;
    const patienceMs = this.#context.servers(this.ref.server)?.startTimeoutMs ?? 0;
    const tooEarly = policy.refusal(this.ref, patienceMs);
    // Also keeps this function from ending before whoever began the start has noted it.
    await (tooEarly ? Promise.reject(tooEarly) : this.#generations.gone());
    signal.throwIfAborted();
    await policy.wait(signal);
    const generation = next ?? this.#generations.next(this.#requireDef());
    return await this.#startNext(generation, signal);
  }

  async #startBeside(serving: Generation, signal: AbortSignal): Promise<Live> {
    const generation = this.#generations.next(this.#requireDef());
    const reason = this.#succession?.reason ?? "restarted";
    if (await fitsBeside(this.#context, generation, serving))
      return await this.#startNext(generation, signal, true);
    signal.throwIfAborted();
    // Whoever sends something from now on waits, and for no longer than for a start.
    const { drainTimeoutMs, startTimeoutMs } = generation.def;
    this.#generations.drain(serving, reason, Math.min(drainTimeoutMs, startTimeoutMs));
    this.#endSuccession();
    return await this.#startAlone(signal, generation);
  }

  #requireDef(): ServerDef {
    // Whoever has asked before may have lost the server since.
    const def = this.#context.servers(this.ref.server, this.ref.user);
    if (!def) throw failureOf(this.ref, "SERVER_NOT_FOUND", "there is no such server");
    return def;
  }

  async #startNext(generation: Generation, signal: AbortSignal, hasPlace = false): Promise<Live> {
    const { def } = generation;
    const earlier = this.#generations.restReason;
    this.#generations.add(generation);
    try {
      signal.throwIfAborted();
      if (def.kind !== "child") {
        const ready = await launchAtOnce(this.#context, generation, def, signal);
        return this.#becomeReady(generation, ready);
      }
      if (!hasPlace) await this.#context.admit(generation, signal);
      return await this.#startInTurn(generation, def, signal);
    } catch (error) {
      const failure = toSupervisorError(error);
      // It was nobody's turn: why the child failed before is what an admin wants to know still.
      const isOutOfTurn = failure.code === "INSTANCE_BACKING_OFF" || failure === AGAIN;
      const reason = (isOutOfTurn ? earlier : null) ?? reasonOf(this.ref, failure);
      if (generation.state.name !== "draining") this.#generations.leave(generation, reason);
      if (!signal.aborted && !isOutOfTurn) {
        this.#generations.log("warn", generation, `not started: ${reason}`);
        const { code, details: lines } = failure;
        this.#generations.noteFailure(generation, { code, reason, exit: null, lines });
      }
      throw failure;
    }
  }

  async #startInTurn(generation: Generation, def: ChildServer, signal: AbortSignal): Promise<Live> {
    const { failures } = this.#succession ?? this.#standing.policy;
    const options = { failures, patienceMs: def.startTimeoutMs };
    const start = () => this.#startChild(generation, def, signal);
    return await this.#context.scheduler.run(this.ref, signal, start, options);
  }

  async #startChild(generation: Generation, def: ChildServer, signal: AbortSignal): Promise<Live> {
    const { policy, output } = this.#standing;
    // Another session's child failed while this one waited for its turn.
    if (this.#generations.serving === undefined && policy.isTooEarly) this.#start?.again();
    signal.throwIfAborted();
    this.#generations.begin(generation);
    const { ref, wanted } = this;
    const own = { ref, wanted, output, capabilities: this.#capabilities };
    const outcome = await launchNext(this.#context, { ...own, def, generation, signal });
    if (!outcome.isReady) throw this.#giveUp(generation, outcome, signal);
    if (outcome.exposed.length > 0) this.#context.onExposed(ref.server, outcome.exposed);
    return this.#becomeReady(generation, outcome);
  }

  #giveUp(generation: Generation, outcome: NotLaunched, signal: AbortSignal): SupervisorError {
    const { failure, running, gone } = outcome;
    const reason = reasonOf(this.ref, failure);
    this.#generations.setUnasked(!signal.aborted);
    // Where another one serves, its failures are nobody else's.
    const isHeldAgainst = !signal.aborted && this.#generations.serving === undefined;
    if (isHeldAgainst && !isShortage(failure))
      this.#standing.policy.failed(reason, generation.begunAt);
    if (running !== undefined) this.#generations.giveUp(generation, reason, gone);
    return failure;
  }

  #becomeReady(generation: Generation, ready: Launching): Live {
    const before = this.#generations.serving;
    this.#works = generation.def;
    const live = this.#generations.becomeReady(generation, ready);
    if (before !== undefined) {
      const reason = this.#succession?.reason ?? "restarted";
      this.#generations.handOver(before, reason, generation.def.drainTimeoutMs);
    }
    this.#endSuccession();
    tellFollowers(this.usage, live);
    return live;
  }

  async #stop(reason: string, failure: SupervisorError): Promise<void> {
    this.#endSuccession();
    const { serving } = this.#generations;
    // Before anything is waited for: what is ready is handed out to nobody from now on.
    if (serving !== undefined) this.#generations.end(serving, reason);
    await this.#start?.halt(failure);
    if (serving === undefined) this.#restFor(reason);
    await this.#generations.hurry();
    // A start beside it may have been the last to leave.
    if (serving !== undefined) this.#restFor(reason);
  }

  #restFor(reason: string): void {
    if (isDown(this.state) && this.#start === undefined && this.#standing.policy.failures === 0)
      this.#generations.becomeDown(reason);
  }
}
