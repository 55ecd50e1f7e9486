import type { SupervisorError } from "../errors.ts";
import { failureOf } from "./failures.ts";
import { Generations } from "./generations.ts";
import { isDown, partOf, rowOf } from "./instance-row.ts";
import { isChildless } from "./instance-types.ts";
import { giveToken } from "./new-token.ts";
import { Starts } from "./starts.ts";
import { idleSince, newUsage } from "./usage.ts";
import type { Owner } from "./generation.ts";
import type { Part } from "./instance-row.ts";
import { engineOf } from "./instance-context.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { InstanceRow, InstanceState, Live, Ref } from "./instance-types.ts";
import type { Standing } from "./standing.ts";

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
  readonly #generations: Generations;
  readonly #starts: Starts;
  /** What whoever wants a child is told, for good. */
  #refusal: SupervisorError | undefined;
  #wantedAt = 0;

  constructor(ref: Ref, context: InstanceContext, capabilities: string, standing: Standing) {
    this.ref = ref;
    this.#context = context;
    this.#standing = standing;
    // Whoever needs a child now waits for its start, as for any other.
    const onLost = (): void => this.#starts.giveUpSuccession();
    const generations = new Generations({ owner: this, context, standing, onLost });
    this.#generations = generations;
    this.#starts = new Starts(this, { context, standing, generations, capabilities });
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
    return this.#starts.underWay;
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
    return this.#starts.joinPatiently();
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

  /** As `close`, but lets go of what the next daemon can take over. */
  async leave(reason: string, refusal: SupervisorError): Promise<void> {
    this.#refusal = refusal;
    if (this.#generations.leaveServing()) await this.#starts.halt(refusal);
    else await this.#stop(reason, refusal);
  }

  /**
   * Replaces what runs by a new generation, and resolves when nothing of the old one is left. A start
   * under way begins anew, for the same callers. One that is down stays so, with nothing held against it.
   */
  async restart(reason: string): Promise<void> {
    this.#starts.giveUpSuccession();
    this.forgive();
    const { serving } = this.#generations;
    void this.#generations.hurry();
    if (serving !== undefined) this.#generations.end(serving, reason);
    // Who waits for the new one hears what becomes of it; else its failure is in the state.
    if (!this.#starts.again() && serving !== undefined) void this.#starts.join();
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
    this.#starts.giveUpSuccession();
    if (this.#generations.serving === undefined) {
      // Who takes no more calls answers those that it has.
      this.forgive();
      this.#starts.again();
      return;
    }
    this.#generations.makeWay();
    if (this.#isUnused) return await this.stop(reason.replace(/^restarted\b/, "stopped"));
    this.#starts.again();
    await this.#starts.replace(reason);
  }

  /**
   * As `handOver`, for a new token. What runs and can be handed it goes on with it, and has it when this
   * returns; a start that has not taken its token yet takes the new one.
   */
  async renewToken(reason: string): Promise<void> {
    const isGiven = giveToken(this.#generations, this.underWay !== undefined, this.#context);
    return isGiven ? this.forgive() : await this.handOver(reason);
  }

  /** Forgets the failures: who waits for the next try goes on, and the next message starts the child at once. */
  forgive(): void {
    this.#standing.forgive();
    this.#starts.forgive();
    if (!isDown(this.state) || this.state === "stopped") return;
    if (!this.#starts.again()) this.#generations.becomeDown(this.#generations.restReason ?? "");
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
      unreplaced: this.#starts.unreplaced,
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
    return def?.kind === "child" ? engineOf(this.#context.engines, def).levelOf(def) : null;
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

  async #stop(reason: string, failure: SupervisorError): Promise<void> {
    this.#starts.giveUpSuccession();
    const { serving } = this.#generations;
    // Before anything is waited for: what is ready is handed out to nobody from now on.
    if (serving !== undefined) this.#generations.end(serving, reason);
    await this.#starts.halt(failure);
    if (serving === undefined) this.#restFor(reason);
    await this.#generations.hurry();
    // A start beside it may have been the last to leave.
    if (serving !== undefined) this.#restFor(reason);
  }

  #restFor(reason: string): void {
    if (isDown(this.state) && this.underWay === undefined && this.#standing.policy.failures === 0)
      this.#generations.becomeDown(reason);
  }
}
