import { SupervisorError, toSupervisorError } from "../errors.ts";
import { failureOf, reasonOf } from "./failures.ts";
import { Generation } from "./generation.ts";
import { launchChild, releaseAfter } from "./launch.ts";
import { isDown, rowOf } from "./instance-row.ts";
import { remoteTarget } from "./remote-target.ts";
import { isShortage } from "./restart-policy.ts";
import { watchChild } from "./watch-child.ts";
import { releaseHolds, idleSince, newUsage, attachAll } from "./usage.ts";
import type { ChildServer } from "../config/config.ts";
import type { Running } from "../engines/process/runner.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { Ended, InstanceRow, InstanceState, Live, Ref } from "./instance-types.ts";
import type { Target } from "../links/target.ts";
import type { Standing } from "./standing.ts";
import type { InstanceFailure } from "./history.ts";
import type { Launched, NotLaunched } from "./launch.ts";

/** The reason of an abort that wants the same callers served by another generation. */
const AGAIN = new SupervisorError("INSTANCE_EXITED", "the start begins anew");

/** What is kept of the last words of a child that ended unasked. */
const LAST_LINES = 10;

type Ready = Extract<InstanceState, { name: "ready" }> & { generation: Generation };
type State = Exclude<InstanceState, { name: "ready" }> | Ready;

/**
 * One (user, server, variant): at most one generation of it lives at a time.
 *
 * stopped → starting → ready → draining → stopped. A start that fails goes through draining too when
 * there is a process tree to end. The next generation waits until nothing is left of the last one.
 * After a failure (an end before it was ready, or soon after without one call answered) comes
 * backing-off in place of stopped, and parked after many in a row; see RestartPolicy.
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
  #begunAt = 0;
  #state: State = { name: "stopped", since: Date.now(), reason: null };
  #generation = 0;
  #restarts = 0;
  #endedUnasked = false;
  #pending: Promise<Live> | undefined;
  #attempt = new AbortController();
  /** The failure of the start under way, once a stop has decided it. */
  #halt: SupervisorError | undefined;
  #gone: Promise<void> = Promise.resolve();
  #refusal: SupervisorError | undefined;
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
    return this.#generation;
  }

  /** The last generation ended or failed to start without being asked to. */
  get hasFailed(): boolean {
    return isDown(this.#state.name) && this.#endedUnasked;
  }

  /** The generation that is ready now. */
  get live(): Live | undefined {
    if (this.#state.name !== "ready" || this.#state.generation.isSpent) return undefined;
    return this.#state.live;
  }

  /** Since when (`performance.now()`) the child that is ready has been of no use; undefined where it is in use, down or a remote. */
  get idleSince(): number | undefined {
    if (this.#state.name !== "ready" || this.#state.live.pid === null) return undefined;
    return idleSince(this.usage, Math.max(this.#state.generation.readyAt, this.#wantedAt));
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
    if (this.#state.name === "ready") {
      const { isSpent, answer, live } = this.#state.generation;
      // Its end is told in a moment.
      return isSpent ? live.exited.then(() => this.ensure()) : answer;
    }
    if (this.#refusal) return Promise.reject(this.#refusal);
    if (!this.#pending) {
      this.#pending = this.#begin();
      // A start that `restart` began may have nobody waiting; its failure is in the state.
      this.#pending.catch(() => {});
    }
    return this.#pending;
  }

  /**
   * Ends what runs, starts or waits to start; resolves when nothing of it is left. Callers that wait
   * for a start get INSTANCE_EXITED with the reason (`stopped by an admin`).
   */
  async stop(reason: string): Promise<void> {
    const what = `was ended before it was ready: ${reason}`;
    await this.#stop(reason, failureOf(this.ref, "INSTANCE_EXITED", `the child ${what}`));
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
    this.forgive();
    if (this.#pending) {
      this.#attempt.abort(AGAIN);
    } else if (this.#state.name === "ready") {
      this.#drain(this.#state, reason);
      const gone = this.#gone;
      this.ensure().catch(() => {});
      await gone;
    }
  }

  /** Forgets the failures: who waits for the next try goes on, and the next message starts the child at once. */
  forgive(): void {
    this.#standing.forgive();
    if (!isDown(this.#state.name) || this.#state.name === "stopped") return;
    if (this.#pending) this.#attempt.abort(AGAIN);
    else this.#becomeDown("reason" in this.#state ? (this.#state.reason ?? "") : "");
  }

  row(): InstanceRow {
    const def = this.#context.servers(this.ref.server);
    const isWell = this.#state.name === "ready" && this.#state.generation.wasWell;
    return rowOf({
      ref: this.ref,
      state: this.#state,
      usage: this.usage,
      generation: this.#generation,
      restarts: this.#restarts,
      // What the one that is ready now made good is held against nobody.
      failures: isWell ? 0 : this.#standing.policy.failures,
      isolation: this.#context.isolation.rowOf(def),
    });
  }

  /** Memory of the whole process tree, null where none is alive or it cannot be read. */
  async rssBytes(): Promise<number | null> {
    return this.#state.name === "ready" ? ((await this.#state.running?.rssBytes()) ?? null) : null;
  }

  async #begin(): Promise<Live> {
    try {
      for (;;) {
        this.#attempt = new AbortController();
        const { signal } = this.#attempt;
        try {
          const patienceMs = this.#context.servers(this.ref.server)?.startTimeoutMs ?? 0;
          const tooEarly = this.#standing.policy.refusal(this.ref, patienceMs);
          // Also keeps this function from ending before `ensure` has noted its promise.
          await (tooEarly ? Promise.reject(tooEarly) : this.#gone);
          signal.throwIfAborted();
          await this.#standing.policy.wait(signal);
          return await this.#start(signal);
        } catch (error) {
          // A stop may come after a restart had aborted this start already.
          if (this.#halt || signal.reason !== AGAIN) throw this.#halt ?? error;
        }
      }
    } finally {
      this.#halt = undefined;
      this.#pending = undefined;
    }
  }

  async #start(signal: AbortSignal): Promise<Live> {
    const { servers, secretsFor, turns } = this.#context;
    const def = servers(this.ref.server);
    if (!def) throw failureOf(this.ref, "SERVER_NOT_FOUND", "there is no such server");
    const earlier = "reason" in this.#state ? this.#state.reason : null;
    this.#generation++;
    try {
      if (def.kind === "remote") {
        const target = remoteTarget(this.ref, def, secretsFor(this.ref.user, this.ref.server));
        return this.#becomeReady(target, null);
      }
      this.#become({ name: "starting", since: Date.now(), pid: null, port: null });
      await this.#context.admit(this.ref, signal);
      const wish = { failures: this.#standing.policy.failures, patienceMs: def.startTimeoutMs };
      return await turns.run(this.ref, signal, () => this.#startChild(def, signal), wish);
    } catch (error) {
      const failure = toSupervisorError(error);
      // It was nobody's turn: why the child failed before is what an admin wants to know still.
      const isOutOfTurn = failure.code === "INSTANCE_BACKING_OFF" || failure === AGAIN;
      const reason = (isOutOfTurn ? earlier : null) ?? reasonOf(this.ref, failure);
      if (this.#state.name !== "draining") this.#becomeDown(reason);
      if (!signal.aborted && !isOutOfTurn) {
        this.#log("warn", `not started: ${reason}`);
        this.#trouble({ code: failure.code, reason, exit: null, lines: failure.details });
      }
      throw failure;
    }
  }

  async #startChild(def: ChildServer, signal: AbortSignal): Promise<Live> {
    const { config, secretsFor, ports, events, onExposed } = this.#context;
    const { policy, output } = this.#standing;
    // Another session's child failed while this one waited for its turn.
    if (policy.isTooEarly) this.#attempt.abort(AGAIN);
    signal.throwIfAborted();
    this.#begunAt = performance.now();
    if (this.#endedUnasked) {
      this.#restarts++;
      events.emit("restarted", { ref: this.ref });
    }
    this.#endedUnasked = false;
    const outcome = await launchChild({
      ...this.#context,
      ref: this.ref,
      def,
      capabilities: this.#capabilities,
      wanted: this.wanted,
      token: secretsFor(this.ref.user, this.ref.server),
      startTimeoutMs: def.startTimeoutMs,
      stopTimeoutMs: config.stopTimeoutMs,
      output,
      onLine: (stream, text) =>
        events.emit("line", { ref: this.ref, line: output.add(this.ref.variant, stream, text) }),
      onSpawn: (pid, port) =>
        this.#become({ name: "starting", since: this.#state.since, pid, port }),
      signal,
    });
    if (!outcome.isReady) {
      this.#endedUnasked = !signal.aborted;
      if (!signal.aborted && !isShortage(outcome.failure))
        this.#standing.policy.failed(reasonOf(this.ref, outcome.failure), this.#begunAt);
      throw this.#drainFailed(outcome);
    }
    const { running, port, target, exposed } = outcome;
    // A stop or a new token came in the very moment it became ready.
    if (signal.aborted) {
      const failure = toSupervisorError(signal.reason);
      const gone = releaseAfter(running.stop(), ports, port);
      throw this.#drainFailed({ isReady: false, failure, pid: running.pid, port, gone });
    }
    if (exposed.length > 0) onExposed(this.ref.server, exposed);
    return this.#becomeReady(target, outcome);
  }

  /** `launched` is null for a remote. */
  #becomeReady(target: Target, launched: Launched | null): Live {
    this.#standing.fallen = undefined;
    const { running = null, port = null } = launched ?? {};
    const { ref, usage, generation: number } = this;
    const generation = new Generation({ ref, number, target, running, port, usage });
    const serving = { live: generation.live, running, port, generation };
    this.#become({ name: "ready", since: Date.now(), reason: null, ...serving });
    this.#log("info", "ready");
    if (launched !== null)
      watchChild(launched, {
        isServing: () => this.#state.name === "ready" && this.#state.generation === generation,
        strained: (how) => this.#strained(how),
        busy: (how) => this.#log("warn", how),
        ended: (how) => this.#crashed(generation, launched.running, how),
      });
    attachAll(usage, generation.live);
    return generation.live;
  }

  #strained(reason: string): void {
    if (this.#state.name === "ready") this.#become({ ...this.#state, reason });
    this.#log("warn", reason);
  }

  #crashed(generation: Generation, running: Running, ended: Ended): void {
    this.#endedUnasked = true;
    const { reason, exit, failure } = ended;
    this.#log("warn", reason);
    const lines = this.#standing.output.tail(this.ref.variant, LAST_LINES, this.#state.since);
    this.#trouble({ code: failure?.code ?? null, reason, exit, lines });
    if (generation.wasWell) this.#standing.policy.clear();
    else this.#standing.policy.failed(`${reason} before it had answered a call`, this.#begunAt);
    // Grandchildren may hold the port, and nobody is left to end them in good order.
    this.#becomeDraining(generation, reason, running.kill());
    this.#finish(generation, ended);
  }

  #drain({ generation }: Ready, reason: string): void {
    const { running } = generation;
    generation.isDraining = true;
    if (generation.wasWell) this.#standing.policy.clear();
    this.#log("info", reason);
    this.#becomeDraining(generation, reason, running?.stop());
    if (!running) this.#finish(generation, { reason, exit: null });
    else void running.exited.then((exit) => this.#finish(generation, { reason, exit }));
  }

  #drainFailed({ failure, pid, port, gone }: NotLaunched): SupervisorError {
    if (pid === null) return failure;
    const reason = reasonOf(this.ref, failure);
    this.#become({ name: "draining", since: Date.now(), reason, pid, port });
    this.#gone = this.#downAfter(gone, reason);
    return failure;
  }

  #becomeDraining({ live, port }: Generation, reason: string, ending?: Promise<unknown>): void {
    this.#become({ name: "draining", since: Date.now(), reason, pid: live.pid, port });
    const gone = releaseAfter(ending ?? Promise.resolve(), this.#context.ports, port);
    this.#gone = this.#downAfter(gone, reason);
  }

  async #downAfter(gone: Promise<void>, reason: string): Promise<void> {
    await gone;
    this.#becomeDown(reason);
  }

  /** Where nothing runs: stopped, or for how long the policy lets nothing run. */
  #becomeDown(reason: string): void {
    const { policy } = this.#standing;
    this.#become(policy.down(Date.now(), reason));
    if (policy.isParked)
      this.#log("warn", `parked after ${policy.failures} failures in a row: ${reason}`);
  }

  #finish(generation: Generation, ended: Ended): void {
    releaseHolds(this.usage);
    generation.finish(ended);
  }

  async #stop(reason: string, failure: SupervisorError): Promise<void> {
    const pending = this.#pending;
    if (pending) {
      this.#halt = failure;
      this.#attempt.abort(failure);
      await pending.catch(() => {});
    }
    if (this.#state.name === "ready") this.#drain(this.#state, reason);
    else if (isDown(this.#state.name) && this.#standing.policy.failures === 0)
      this.#becomeDown(reason);
    await this.#gone;
  }

  #trouble(what: Omit<InstanceFailure, "at" | "generation">): void {
    this.#standing.note({ at: Date.now(), generation: this.#generation, ...what }, this.row());
    this.#context.events.emit("failed", { ref: this.ref });
  }

  #become(state: State): void {
    this.#state = state;
    this.#context.events.emit("state", { ref: this.ref, state: state.name });
  }

  #log(level: "info" | "warn", message: string): void {
    const port = "port" in this.#state ? this.#state.port : null;
    const known = { generation: this.#generation, childPid: this.live?.pid, port };
    this.#context.log[level]({ ...this.ref, ...known }, `child: ${message}`);
  }
}
