import { SupervisorError, toSupervisorError } from "../errors.ts";
import { fitsBeside } from "./beside.ts";
import { asNext, failureOf, reasonOf } from "./failures.ts";
import { launchNext } from "./launch-next.ts";
import { launchAtOnce } from "./launch-at-once.ts";
import { isShortage } from "./restart-policy.ts";
import { schedulerOf } from "./instance-context.ts";
import { withDeadline } from "../platform/deadline.ts";
import { isPodServer } from "../config/child-servers.ts";
import { AGAIN, Start } from "./start.ts";
import { Succession } from "./succession.ts";
import { tellFollowers } from "./usage.ts";
import type { ChildServer, ServerDef } from "../config/config.ts";
import type { Generation } from "./generation.ts";
import type { Generations } from "./generations.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { Live, Ref } from "./instance-types.ts";
import type { Launching, NotLaunched } from "./launch-types.ts";
import type { Standing } from "./standing.ts";
import type { Usage } from "./usage.ts";

/** The instance whose starts they are. */
export interface Startable {
  readonly ref: Ref;
  readonly usage: Usage;
  /** The version that the client asked for that came last. */
  readonly wanted: string | undefined;
}

export interface StartsParts {
  context: InstanceContext;
  standing: Standing;
  generations: Generations;
  /** What the clients of a stdio child declared, as JSON text. */
  capabilities: string;
}

/**
 * How an instance comes by its next generation: one start at a time, alone or beside the generation that
 * serves, and again after a failure. What runs is `Generations`'.
 */
export class Starts {
  readonly #owner: Startable;
  readonly #context: InstanceContext;
  readonly #standing: Standing;
  readonly #generations: Generations;
  readonly #capabilities: string;
  #start: Start | undefined;
  #succession: Succession | undefined;

  constructor(owner: Startable, { context, standing, generations, capabilities }: StartsParts) {
    this.#owner = owner;
    this.#context = context;
    this.#standing = standing;
    this.#generations = generations;
    this.#capabilities = capabilities;
  }

  /** The start that is under way. */
  get underWay(): Promise<Live> | undefined {
    return this.#start?.answer;
  }

  /** Why what serves could not be replaced yet, and when the next try is due; undefined where it is not to be, or no try failed. */
  get unreplaced(): Succession["failure"] {
    return this.#succession?.failure;
  }

  /** Resolves with the generation that the start brings which is under way, or begins now; rejects as `Instance.ensure`. */
  join(): Promise<Live> {
    return (this.#start ?? this.#begin()).answer;
  }

  /** As `join`, for a message: it waits no longer for a pod than for any other child, and the pod goes on. */
  joinPatiently(): Promise<Live> {
    const started = this.join();
    const { ref } = this.#owner;
    const def = this.#context.servers(ref.server, ref.user);
    if (def === undefined || !isPodServer(def)) return started;
    const late = (): Live => {
      throw stillPending(ref, this.#generations.waitingFor);
    };
    return withDeadline(started, def.startTimeoutMs, late);
  }

  /** Lets a start under way begin anew, for the same callers; whether there was one. */
  again(): boolean {
    this.#start?.again();
    return this.#start !== undefined;
  }

  /** Gives up a start under way; see `Start.halt`. */
  async halt(failure: SupervisorError): Promise<void> {
    await this.#start?.halt(failure);
  }

  /** Starts a generation that takes over from the one that serves. Rejects with why its first try failed; it is tried again. */
  async replace(reason: string): Promise<void> {
    this.#succession = new Succession(reason);
    await this.#takeOver(this.#succession);
  }

  /** What serves is not to be replaced any more, or has been. */
  giveUpSuccession(): void {
    this.#succession?.end();
    this.#succession = undefined;
  }

  /** The next try to replace what serves is due now. */
  forgive(): void {
    this.#succession?.forgive();
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
      await this.join();
    } catch (error) {
      const failure = toSupervisorError(error);
      // It is not wanted any more, or nothing serves that could go on.
      if (succession.isOver) throw failure;
      const why = asNext(this.#owner.ref, failure);
      succession.failed(why);
      const again = async (): Promise<void> => {
        await succession.wait();
        await this.#takeOver(succession);
      };
      // What it fails at is told by the state.
      again().catch(() => {});
      const { code, details } = failure;
      const what = `${why}; the one before goes on serving`;
      throw failureOf(this.#owner.ref, code, what, { cause: failure, details });
    }
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
    return failures === 0 && this.#standing.works === this.#context.servers(this.#owner.ref.server);
  }

  async #startAlone(signal: AbortSignal, next?: Generation): Promise<Live> {
    const { policy } = this.#standing;
    const patienceMs = this.#context.servers(this.#owner.ref.server)?.startTimeoutMs ?? 0;
    const tooEarly = policy.refusal(this.#owner.ref, patienceMs);
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
    this.giveUpSuccession();
    return await this.#startAlone(signal, generation);
  }

  #requireDef(): ServerDef {
    // Whoever has asked before may have lost the server since.
    const def = this.#context.servers(this.#owner.ref.server, this.#owner.ref.user);
    if (!def) throw failureOf(this.#owner.ref, "SERVER_NOT_FOUND", "there is no such server");
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
      const reason = (isOutOfTurn ? earlier : null) ?? reasonOf(this.#owner.ref, failure);
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
    return await schedulerOf(this.#context, def).run(this.#owner.ref, signal, start, options);
  }

  async #startChild(generation: Generation, def: ChildServer, signal: AbortSignal): Promise<Live> {
    const { policy, output } = this.#standing;
    // Another session's child failed while this one waited for its turn.
    if (this.#generations.serving === undefined && policy.isTooEarly) this.#start?.again();
    signal.throwIfAborted();
    this.#generations.begin(generation);
    const { ref, wanted } = this.#owner;
    const own = { ref, wanted, output, capabilities: this.#capabilities };
    const outcome = await launchNext(this.#context, { ...own, def, generation, signal });
    if (!outcome.isReady) throw this.#giveUp(generation, outcome, signal);
    if (outcome.exposed.length > 0) this.#context.onExposed(ref.server, outcome.exposed);
    return this.#becomeReady(generation, outcome);
  }

  #giveUp(generation: Generation, outcome: NotLaunched, signal: AbortSignal): SupervisorError {
    const { failure, running, gone } = outcome;
    const reason = reasonOf(this.#owner.ref, failure);
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
    this.#standing.works = generation.def;
    const live = this.#generations.becomeReady(generation, ready);
    if (before !== undefined) {
      const reason = this.#succession?.reason ?? "restarted";
      this.#generations.handOver(before, reason, generation.def.drainTimeoutMs);
    }
    this.giveUpSuccession();
    tellFollowers(this.#owner.usage, live);
    return live;
  }
}

/** When it will run nobody knows; soon after is when somebody may look again. */
const LOOK_AGAIN_SECONDS = 10;

function stillPending({ user, server }: Ref, why: string | null): SupervisorError {
  const what = why === null ? "its pod is on its way" : `its pod waits: ${why}`;
  return new SupervisorError("INSTANCE_PENDING", `${user}/${server}: ${what}`, {
    retryAfterSeconds: LOOK_AGAIN_SECONDS,
  });
}
