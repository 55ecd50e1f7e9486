/** Room: instances. Decides when children run: of each instance one generation at most takes calls, and only once it is ready and ours. In: a ref (user, server, variant). Out: where to send its messages, and word when it ended. Never imports sessions, never sees a message. */
import { EventEmitter } from "node:events";
import { SupervisorError } from "../errors.ts";
import { EraProbe } from "./era-probe.ts";
import { preparerOf } from "./era-probe-start.ts";
import { Admission } from "./admission.ts";
import { IdleWatch } from "./idle.ts";
import { Instance } from "./instance.ts";
import { InstanceSet } from "./instance-set.ts";
import type { Capacity } from "../engines/engine.ts";
import { rssOf } from "./memory.ts";
import { StartSlots } from "./start-slots.ts";
import { StartTimes } from "./start-times.ts";
import { StartScheduler } from "./start-scheduler.ts";
import type { InstanceFailure } from "./history.ts";
import type { Config } from "../config/config.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { LogOutcome } from "./output-log.ts";
import { Standings } from "./standing.ts";
import { withDeadline } from "../platform/deadline.ts";
import { allThere } from "./all-there.ts";
import { takeLeft } from "./take-left.ts";
import { Scrubber } from "../telemetry/scrubber.ts";
import { forgetful } from "./definition.ts";
import type { DefinitionMemory } from "./definition.ts";
import type { Engines, InstanceContext, SecretNow, SecretsFor } from "./instance-context.ts";
import type {
  Era,
  InstanceRow,
  InstanceStatus,
  Live,
  LogLine,
  Ref,
  Selector,
} from "./instance-types.ts";
import { capabilitiesOfVariant } from "./instance-types.ts";
import type { StateName, SupervisorEvents } from "./instance-types.ts";

export type { Instance } from "./instance.ts";
export type * from "./instance-types.ts";
export type { Follower, IdleHold, Usage } from "./usage.ts";
export type { InstanceFailure } from "./history.ts";
export { MODERN_VARIANT, isOwnVariant, keyOf, ownVariant } from "./instance-types.ts";

function slotsFor(
  { limits: { spawnConcurrency } }: Config,
  { starts, spare }: Capacity,
): StartSlots {
  if (spawnConcurrency !== "cores") return new StartSlots(spawnConcurrency, { restTimes: () => 0 });
  // Those who come next may fail as well; where a core is idle, they do not wait for it.
  return new StartSlots(starts, { idleCores: spare, restTimes: () => 1 });
}

const podSlots = ({ pods }: Engines): StartSlots =>
  new StartSlots(pods?.capacity.starts ?? 1, { restTimes: () => 1 });

export interface SupervisorOptions {
  config: Config;
  version: string;
  servers: InstanceContext["servers"];
  secretsFor: SecretsFor;
  secretNow: SecretNow;
  log: Logger;
  /** What children write is kept without the secrets that it knows. */
  scrubber?: Scrubber;
  engines: Engines;
  /** Which era a stdio server speaks. */
  eras?: DefinitionMemory;
  /** Which version a stdio server took that had refused another. */
  versions?: DefinitionMemory;
}

export class Supervisor {
  readonly events = new EventEmitter<SupervisorEvents>();
  readonly #context: InstanceContext;
  readonly #instances = new InstanceSet();
  readonly #standings: Standings;
  readonly #exposedServers = new Set<string>();
  readonly #startTimes = new StartTimes(this.events);
  readonly #eras: EraProbe;
  readonly #stopping = new AbortController();
  readonly #idle: IdleWatch;
  readonly #admission: Admission;
  #refusal: SupervisorError | undefined;

  constructor({
    scrubber = new Scrubber(),
    eras = forgetful(),
    versions = forgetful(),
    ...options
  }: SupervisorOptions) {
    const { config, servers } = options;
    this.#standings = new Standings(scrubber);
    this.#context = {
      ...options,
      versions,
      scheduler: new StartScheduler(slotsFor(config, options.engines.child.capacity)),
      podScheduler: new StartScheduler(podSlots(options.engines)),
      events: this.events,
      onExposed: (server, addresses) => this.#warnExposed(server, addresses),
      admit: async (generation, signal) => await this.#admission.admit(generation, signal),
      admitBeside: async (generation, before) =>
        await this.#admission.admitBeside(generation, before),
      makeRoom: async (generation) => await this.#admission.makeRoom(generation),
      left: (generation) => this.#admission.left(generation),
    };
    const isSpare = (name: string): boolean => servers(name)?.stateful === false;
    const onFailure = ({ ref }: { ref: Ref }, error: unknown): void =>
      options.log.error({ ...ref, err: error }, "a child could not be stopped");
    const maxPods = (): number => config.kubernetes?.maxPods ?? 0;
    this.#admission = new Admission({ limits: config.limits, maxPods, isSpare, onFailure });
    this.#idle = new IdleWatch({
      instances: () => this.#instances.all(),
      timeoutOf: (name) => {
        const def = servers(name);
        // A remote costs nothing while it waits, and its sessions would be lost.
        return def?.kind === "child" && !def.stateful ? def.idleTimeoutMs : undefined;
      },
      stop: (instance, reason) => {
        instance.stop(reason).catch((error: unknown) => onFailure(instance, error));
      },
    });
    this.events.on("state", ({ ref, state }) => {
      if (state === "ready") this.#idle.watch(ref.server);
    });
    this.#admission.watchMemory();
    const { signal } = this.#stopping;
    const prepare = preparerOf(this.#context, signal);
    this.#eras = new EraProbe({ scrubber, memory: eras, signal, prepare });
  }

  /**
   * The era of a stdio server: asked of a throw-away child of this user where it is not known yet.
   * Rejects as a start does.
   */
  async eraOf(ref: Ref): Promise<Era> {
    const def = this.#context.servers(ref.server, ref.user);
    if (def?.kind !== "child" || def.transport !== "stdio")
      throw new SupervisorError("SERVER_NOT_FOUND", "there is no such stdio server");
    return await this.#eras.of(ref, def);
  }

  /**
   * The handle of an instance, running or not. Keep it: its `live` and `ensure()` cost no look-up.
   * `capabilities` is what the clients of a stdio child declared, as JSON text; one variant has one.
   * `wanted` is the version that the client asks for that wants the instance now.
   */
  instance(ref: Ref, capabilities = "{}", wanted?: string): Instance {
    const instance = this.#instances.of(ref, () => {
      const made = new Instance({ ...ref }, this.#context, capabilities, this.#standings.of(ref));
      if (this.#refusal) void made.close("stopped with the daemon", this.#refusal);
      return made;
    });
    if (wanted !== undefined) instance.wanted = wanted;
    return instance;
  }

  /** See `Instance.ensure`. */
  ensure(ref: Ref): Promise<Live> {
    return this.instance(ref).ensure();
  }

  /** The last lines that the children of these wrote, oldest first of each user and server; with an outcome, of children that came to it. */
  logs(selector: Selector, outcome?: LogOutcome): (LogLine & Ref)[] {
    return this.#standings
      .select(selector)
      .flatMap(({ owner, standing }) =>
        standing.output.lines(outcome).map((line) => ({ ...owner, ...line })),
      )
      .filter(({ variant }) => variant === (selector.variant ?? variant));
  }

  /**
   * Ends the selected instances; resolves when nothing of them is left. `reason` is what the admin
   * and the sessions are told: `stopped by an admin`. The next `ensure` starts them again.
   */
  async stop(selector: Selector, reason: string): Promise<void> {
    this.#standings.forgive(selector);
    await Promise.all(this.#instances.select(selector).map((instance) => instance.stop(reason)));
  }

  /**
   * Replaces the selected instances that run or start, and only those; see `Instance.restart`. The
   * new generations are under way when it resolves.
   */
  async restart(selector: Selector, reason: string): Promise<void> {
    this.#trust(selector);
    await Promise.all(this.#instances.select(selector).map((instance) => instance.restart(reason)));
  }

  /**
   * Replaces the selected instances that run or start, and only those, so that they are as they would
   * be if they were started now; see `Instance.handOver`. Rejects with what keeps one that is there
   * still from that, once it is known of all.
   */
  async handOver(selector: Selector, reason: string): Promise<void> {
    this.#trust(selector);
    await allThere(this.#instances.select(selector).map((instance) => instance.handOver(reason)));
  }

  /**
   * As `handOver`, without waiting for new generations: those start in turn, and what they fail at is
   * in the state. What is ended at once has ended when this resolves.
   */
  async renew(selector: Selector, reason: string): Promise<void> {
    await this.#renewBy(selector, (instance) => instance.handOver(reason));
  }

  /** As `renew`, for a new token: what can be handed it while it runs has it when this returns, and goes on. */
  async renewTokens(selector: Selector, reason: string): Promise<void> {
    await this.#renewBy(selector, (instance) => instance.renewToken(reason));
  }

  /** Resolves when no start of the selected ones is under way any more, however they ended, or after so long. */
  async started(selector: Selector, withinMs: number): Promise<void> {
    const starts = this.#instances.select(selector).flatMap((instance) => instance.underWay ?? []);
    await withDeadline(Promise.allSettled(starts), withinMs, () => []);
  }

  async #renewBy(selector: Selector, renew: (instance: Instance) => Promise<void>): Promise<void> {
    this.#trust(selector);
    const ending = this.#instances.select(selector).map(async (instance) => {
      const over = renew(instance);
      if (instance.live === undefined) await over;
      else over.catch(() => {});
    });
    await Promise.all(ending);
  }

  /** As `renew`, but what runs ends at once, with its calls, and the next message starts it. */
  async renewAtOnce(selector: Selector, reason: string): Promise<void> {
    this.#trust(selector);
    const ending = this.#instances
      .select(selector)
      .map((instance) =>
        instance.live === undefined ? instance.restart(reason) : instance.stop(reason),
      );
    await Promise.all(ending);
  }

  /** What the selected instances failed at is forgotten; see `Instance.forgive`. */
  forgive(selector: Selector): void {
    this.#trust(selector);
    for (const instance of this.#instances.select(selector)) instance.forgive();
  }

  /** Nothing that happened up to now slows the selected ones down. */
  #trust(selector: Selector): void {
    this.#eras.forgive(selector.user);
    this.#standings.forgive(selector);
    for (const { ref } of this.#instances.select(selector)) {
      this.#context.scheduler.clear(ref);
      this.#context.podScheduler.clear(ref);
    }
  }

  /** As `stop`, and their rows are gone. A handle that somebody kept rejects with INSTANCE_NOT_FOUND. */
  async forget(selector: Selector, reason: string): Promise<void> {
    const refusal = new SupervisorError("INSTANCE_NOT_FOUND", "the instance was removed");
    // What a session's own child failed at outlives it.
    const isAll = selector.variant === undefined;
    if (isAll) this.#standings.forgive(selector);
    const selected = this.#instances.select(selector);
    await Promise.all(selected.map((instance) => instance.close(reason, refusal)));
    for (const { ref } of selected) this.#instances.delete(ref);
    if (isAll) this.#standings.delete(selector);
  }

  /**
   * Takes over what earlier daemons left, as far as it is what would be started now, and ends the rest.
   * Whoever wants one of them meanwhile does not wait for the others.
   */
  async takeOver(): Promise<void> {
    const { engines, secretNow, servers, log } = this.#context;
    if (engines.pods === undefined) return;
    const left = await engines.pods.findLeft();
    const parts = { pods: engines.pods, secretNow, servers };
    const taken = await takeLeft(left, parts, async (ref) => {
      await this.instance(ref, capabilitiesOfVariant(ref.variant)).ensure();
    });
    const { count } = await engines.pods.endLeft();
    if (left.length > 0)
      log.info({ taken, ended: count }, "kubernetes: pods of an earlier daemon were seen to");
  }

  /** Ends every instance, but for what the next daemon takes over; from now on `ensure` rejects with STOPPING. */
  async stopAll(): Promise<void> {
    const refusal = new SupervisorError("STOPPING", "the supervisor is stopping");
    this.#refusal = refusal;
    this.#idle.close();
    this.#admission.close();
    this.#stopping.abort(refusal);
    const reason = "stopped with the daemon";
    await Promise.all(
      this.#instances.select({}).map((instance) => instance.leave(reason, refusal)),
    );
    await this.#eras.settled();
  }

  /** Ends every child by force, without waiting: for the end that cannot wait. */
  killAll(): void {
    this.#context.engines.child.killAll();
  }

  /** One row for each instance that was ever asked for, by user, server and variant; none for a session's own child that is down. */
  list(selector: Selector = {}): InstanceRow[] {
    return this.#instances.shown(selector).map((instance) => instance.row());
  }

  /** As `list`, with a row more for each other generation of which something is left. */
  rows(selector: Selector = {}): InstanceRow[] {
    return this.#instances
      .shown(selector)
      .flatMap((instance) => instance.parts().map((part) => part.row()));
  }

  /**
   * As `rows`, but for those that never served anybody, with the memory of each, for which the process
   * table is read once.
   */
  async status(selector: Selector = {}): Promise<InstanceStatus[]> {
    const parts = this.#instances.begun(selector).flatMap((instance) => instance.parts());
    const sizes = await rssOf(parts);
    return parts.map((part, at) => ({ ...part.row(), rssBytes: sizes[at] ?? null }));
  }

  /** How many starts are under way, and how many of others wait for theirs. */
  queue(): { starting: number; waiting: number } {
    const waiting = this.waitingStarts;
    return { starting: Math.max(0, (this.counts().starting ?? 0) - waiting), waiting };
  }

  /** The level in force for the daemon as a whole; each row says that of its own. */
  get isolationLevel(): string {
    return this.#context.engines.child.level;
  }

  /** Until when, as epoch ms, a child of this user's (and server's) that was ended may live, because nobody reaches it; null where there is none. */
  mayLiveUntil(user: string, server?: string): number | null {
    return this.#context.engines.pods?.mayLiveUntil(user, server) ?? null;
  }

  /** The accounts of this user's children may be given to others: the user and the homes are gone. */
  releaseAccounts(user: string): void {
    this.#context.engines.child.forgetUser(user);
    this.#context.engines.pods?.forgetUser(user);
  }

  /** How many rows of `status` are in each state; states without any are left out. */
  counts(): Partial<Record<StateName, number>> {
    const counts: Partial<Record<StateName, number>> = {};
    for (const instance of this.#instances.begun({}))
      for (const state of instance.states()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  /** Servers whose children listen on more than loopback. */
  get exposedServers(): string[] {
    return [...this.#exposedServers];
  }

  /** See `StartTimes.lastMs`. */
  lastStartMs(server: string): number | undefined {
    return this.#startTimes.lastMs(server);
  }

  /** Starts that wait for their turn. */
  get waitingStarts(): number {
    const { scheduler, podScheduler } = this.#context;
    return scheduler.waiting + podScheduler.waiting + this.#admission.waiting;
  }

  /** Rows of sessions' own children that failed and are gone, for who asks what is wrong: `status` has none. */
  fallen(selector: Selector = {}): InstanceRow[] {
    return this.#standings.select(selector).flatMap(({ standing }) => standing.fallenRow() ?? []);
  }

  /** The last failures of a user's server, the newest first. */
  failuresOf(ref: Ref): readonly InstanceFailure[] {
    return this.#standings.find(ref)?.history.all() ?? [];
  }

  /** Servers of which some user's child ended or failed to start by itself and is not up again. */
  failingServers(): ReadonlySet<string> {
    const failing = [...this.#instances.all()].filter(({ hasFailed }) => hasFailed);
    return new Set([
      ...failing.map(({ ref }) => ref.server),
      ...this.fallen().map((row) => row.server),
    ]);
  }

  #warnExposed(server: string, addresses: readonly string[]): void {
    if (this.#exposedServers.has(server)) return;
    this.#exposedServers.add(server);
    this.#context.log.warn({ server, addresses }, "child: listens on more than loopback");
  }
}
