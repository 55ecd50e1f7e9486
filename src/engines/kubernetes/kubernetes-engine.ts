import { join } from "node:path";
import { isPodServer } from "../../config/child-servers.ts";
import type { PodServer } from "../../config/child-servers.ts";
import type { ChildServer, Config } from "../../config/config.ts";
import type { PodRow } from "../../store/pods.ts";
import type { Store } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Digests } from "../../vault/digest.ts";
import type { Capacity, EndedLeft, Engine, Exit, Left } from "../engine.ts";
import type { Ref, Running, StartOptions, Workload } from "../engine.ts";
import { aborted } from "../../platform/abort.ts";
import { ApiFailure } from "./api/failure.ts";
import type { Pod } from "./api/objects.ts";
import type { Authorities } from "./authorities.ts";
import { digestsOf } from "./digests.ts";
import type { PodDigests } from "./digests.ts";
import type { NetworkEnforcement } from "./enforcement.ts";
import { Fence } from "./fence.ts";
import type { Suspect } from "./fence.ts";
import { homeName, placeText, podName } from "./names.ts";
import { addressOf, callShim, startOrder, targetOf } from "./new-pod.ts";
import type { Waiting } from "./new-pod.ts";
import { POD, podLevel } from "./pod-level.ts";
import { podRunning } from "./pod-running.ts";
import { homeClaim, keySecret, podSpec } from "./pod-spec.ts";
import type { Pods } from "./pods.ts";
import { openPortDoor } from "./port-door.ts";
import type { PortDoor } from "./port-door.ts";
import { isNoRoom, notRunning, refusalOf } from "./refusals.ts";
import { isOf, refOf, strangerOf, suspectOf } from "./suspects.ts";
import type { ConnectShim, IssueKeys, ShimLink } from "./shim.ts";

export interface KubernetesEngineOptions {
  readonly config: Pick<Config, "kubernetes" | "stopTimeoutMs">;
  readonly pods: Pods;
  readonly rows: Store["pods"];
  readonly authorities: Pick<Authorities, "newest">;
  readonly installation: string;
  readonly epoch: number;
  /** For digests that say nothing to who has the database alone. */
  readonly digests: Pick<Digests, "of">;
  /** For sockets that lead to ports of pods; nobody else's. */
  readonly socketDir: string;
  readonly connect: ConnectShim;
  readonly issueKeys: IssueKeys;
  /** The account of a user's children of a server; undefined for the cluster's choice. */
  readonly uidFor: (ref: Ref) => number | undefined;
  /** Some server has a volume for each user's home. */
  readonly hasHomes: () => boolean;
  readonly networks: Pick<NetworkEnforcement, "require">;
  readonly log: Logger;
}

type PodWorkload = Workload<PodServer>;
type Row = PodRow;

/** Children that are pods of a cluster, each behind a shim that this daemon speaks to. */
export class KubernetesEngine implements Engine<ChildServer> {
  readonly level = POD;
  readonly #options: KubernetesEngineOptions;
  readonly #fence: Fence;
  /** What earlier daemons left, and nobody has asked for yet. */
  readonly #left: Map<string, Row>;
  readonly #openedAt = performance.now();
  readonly #own = new Set<Running>();
  /** By name: pods of ours that no row spoke of. */
  readonly #strangers = new Set<string>();

  constructor(options: KubernetesEngineOptions) {
    this.#options = options;
    this.#fence = new Fence(options.pods);
    this.#left = new Map(options.rows.list().map((row) => [row.name, row]));
    options.pods.followAll((pod) => this.#collect(pod));
  }

  get capacity(): Capacity {
    return { starts: this.#options.config.kubernetes?.startConcurrency ?? 1 };
  }

  levelOf(def: ChildServer): string {
    return isPodServer(def) ? podLevel(def) : POD;
  }

  forgetUser(user: string): void {
    const { pods, log, hasHomes } = this.#options;
    if (!hasHomes()) return;
    pods.deleteClaimsOf(user).catch((err: unknown) => {
      log.error({ err, user }, "kubernetes: the volumes of a removed user could not be deleted");
    });
  }

  async start(workload: Workload<ChildServer>, options: StartOptions): Promise<Running> {
    options.signal.throwIfAborted();
    const { ref, def, token } = workload;
    if (!isPodServer(def)) throw new TypeError(`${def.name} runs in no pod`);
    const { pendingTimeoutMs } = def.pod;
    const patience = AbortSignal.timeout(pendingTimeoutMs);
    const signal = AbortSignal.any([options.signal, patience]);
    const waits: string[] = [];
    const onWaiting = (now: string | null): void => {
      if (now !== null && now !== waits.at(-1)) waits.push(now);
      options.onWaiting?.(now);
    };
    try {
      await this.#options.networks.require(ref, def, signal);
      const work = { ...workload, def, token };
      return await this.#start(work, { ...options, signal, onWaiting });
    } catch (error) {
      options.signal.throwIfAborted();
      if (!patience.aborted) throw refusalOf(ref, error);
      throw notRunning(ref, pendingTimeoutMs, waits.at(-1));
    }
  }

  mayLiveUntil(user: string, server?: string): number | undefined {
    return this.#fence.until(user, server);
  }

  /** Whether what an earlier daemon left of this instance is what would be started now. */
  hasLeft({ ref, def, token }: Workload<ChildServer>): boolean {
    return (
      isPodServer(def) &&
      this.#takeable(ref, digestsOf(this.#options.digests, def, token)) !== undefined
    );
  }

  /** By rows, without the apiserver: `start` adopts what it would start the same way now. */
  findLeft(): Promise<(Left & { ref: Ref })[]> {
    const left = [...this.#left.values()];
    return Promise.resolve(
      left.map((row) => ({ ref: refOf(row), place: placeText(row.name, row.node) })),
    );
  }

  async endLeft(): Promise<EndedLeft> {
    const rows = [...this.#left.values()];
    for (const row of rows) void this.#end(row);
    return await Promise.resolve({ count: rows.length, left: [] });
  }

  /** By force, as far as that can be without a wait: the shims of those that cannot be told end them. */
  killAll(): void {
    for (const running of this.#own) void running.kill();
  }

  async close(): Promise<void> {
    await this.#options.pods.close();
  }

  async #start(workload: PodWorkload, options: StartOptions): Promise<Running> {
    const { ref, def, token } = workload;
    const digests = digestsOf(this.#options.digests, def, token);
    const adopted = await this.#adopt(workload, digests, options);
    if (adopted !== undefined) return adopted;
    for (const row of this.#left.values()) if (isOf(row, ref)) void this.#end(row);
    // Without that nobody knows what of it there is.
    await Promise.race([this.#options.pods.synced, aborted(options.signal)]);
    if (this.#fence.until(ref.user, ref.server) !== undefined)
      options.onWaiting?.("an earlier one of it cannot be reached, and may live still");
    await this.#fence.passed(ref, options.signal);
    options.onWaiting?.(null);
    const row = await this.#create(workload, digests, options.signal);
    try {
      return await this.#begin(row, workload, options);
    } catch (error) {
      this.#discard(row);
      throw error;
    }
  }

  /** Writes the row, makes the Pod, and the Secret that it owns. */
  async #create(workload: PodWorkload, digests: PodDigests, signal: AbortSignal): Promise<Row> {
    const { ref, def } = workload;
    const { pods, rows, installation, epoch, authorities, uidFor } = this.#options;
    const claim = await this.#claim(ref, def, signal);
    for (let generation = this.#nextNumber(workload); ; generation++) {
      const { number: authority } = await authorities.newest();
      const name = podName(installation, ref, generation);
      const known = { uid: null, address: null, node: null };
      const born = { epoch, authority, bornAt: Date.now(), ...digests };
      const { orphanTimeoutMs } = def.pod;
      const row = { name, ...ref, generation, ...known, ...born, orphanTimeoutMs };
      rows.insert(row);
      const spec = { name, installation, ref, generation, def, recipe: def.pod };
      try {
        const made = podSpec({ ...spec, uid: uidFor(ref), homeClaim: claim });
        const uid = (await pods.create(made, signal)).metadata.uid ?? "";
        rows.learn(name, { uid });
        return { ...row, uid };
      } catch (error) {
        const failure = error instanceof ApiFailure ? error : undefined;
        const isTaken = failure?.reason === "AlreadyExists";
        // Refused for sure, or maybe made.
        if (failure !== undefined && !failure.isUnknown) rows.delete(name);
        else this.#discard(row);
        const mayTryAgain = isTaken || (isNoRoom(error) && (await pods.roomMade(signal)));
        if (!mayTryAgain) throw error;
      }
    }
  }

  async #begin(row: Row, workload: PodWorkload, options: StartOptions): Promise<Running> {
    const { ref, def } = workload;
    const { pods, rows, installation, issueKeys, connect, config, epoch } = this.#options;
    const { signal, onWaiting = () => {}, onLine } = options;
    const pod = { name: row.name, uid: row.uid ?? "" };
    const files = await issueKeys(row.authority, pod);
    await pods.createSecret(keySecret({ pod, installation, files }), signal);
    const memoryLimit = def.limits.memoryBytes;
    const waiting: Waiting = { pods, name: row.name, ref, memoryLimit, signal, onWaiting };
    const { address, node } = await addressOf(waiting);
    const own = { address, pod, authority: row.authority, epoch, memoryLimit };
    const target = targetOf({ ...own, onLine, signal });
    const link = await callShim(connect, target, waiting);
    // Before it is told to start anything: what has no address has no child.
    rows.learn(row.name, { address, node });
    try {
      await link.start(startOrder(workload, config.stopTimeoutMs));
    } catch (error) {
      await this.#endUnstarted(row, link);
      throw error;
    }
    return await this.#running({ ...row, address, node }, link, def, false);
  }

  /** The shim said that nothing runs, or the connection broke before it said anything. */
  async #endUnstarted(row: Row, link: ShimLink): Promise<void> {
    if (link.state === "empty" || link.state === "ended") return link.close();
    link.close();
    await this.#untilGone(suspectOf(row, link.lastSentAt()));
  }

  async #running(row: Row, link: ShimLink, def: PodServer, isAdopted: boolean): Promise<Running> {
    const { config, epoch } = this.#options;
    const running = podRunning({
      link,
      place: placeText(row.name, row.node),
      suspect: { ...suspectOf(row, 0), memoryLimit: def.limits.memoryBytes },
      door: await this.#doorTo(row, link, def),
      stopTimeoutMs: config.stopTimeoutMs,
      isAdopted,
      epoch,
      bornAt: row.bornAt,
      cpuLimit: def.limits.cpu,
      keeper: {
        untilGone: (suspect) => this.#untilGone(suspect),
        forget: () => {
          this.#own.delete(running);
          this.#discard(row);
        },
      },
    });
    this.#own.add(running);
    return running;
  }

  async #doorTo(row: Row, link: ShimLink, def: PodServer): Promise<PortDoor | undefined> {
    if (def.transport === "stdio") return undefined;
    const path = join(this.#options.socketDir, `${row.name}.sock`);
    return await openPortDoor(path, () => link.dial());
  }

  async #adopt(
    { ref, def }: PodWorkload,
    digests: PodDigests,
    options: StartOptions,
  ): Promise<Running | undefined> {
    const row = this.#takeable(ref, digests);
    if (row === undefined) return undefined;
    this.#left.delete(row.name);
    const { connect, epoch, rows, log } = this.#options;
    const { authority, address, uid } = row;
    const pod = { name: row.name, uid: uid! };
    const { signal, onLine } = options;
    try {
      const own = { address: address!, pod, authority, epoch };
      const { memoryBytes: memoryLimit } = def.limits;
      const link = await connect(targetOf({ ...own, memoryLimit, onLine, signal }));
      rows.learn(row.name, { epoch });
      const isStdio = def.transport === "stdio";
      if (link.state === "running" && (!isStdio || link.noted !== null)) {
        link.attach(isStdio);
        return await this.#running(row, link, def, true);
      }
      await link.kill();
      this.#discard(row);
    } catch (err) {
      options.signal.throwIfAborted();
      log.warn({ err, ...ref, pod: row.name }, "kubernetes: a pod could not be taken over");
      void this.#end(row);
    }
    return undefined;
  }

  #takeable(ref: Ref, { recipe, token }: PodDigests): Row | undefined {
    const mine = [...this.#left.values()].filter((row) => isOf(row, ref) && row.address !== null);
    const newest = mine.at(-1);
    return newest?.recipe === recipe && newest.token === token ? newest : undefined;
  }

  /** Ends what an earlier daemon left, and forgets it when nothing of it can live. */
  async #end(row: Row): Promise<void> {
    this.#left.delete(row.name);
    // What had no address was never told to start anything.
    if (row.address !== null) await this.#untilGone(suspectOf(row, this.#openedAt));
    this.#discard(row);
  }

  async #untilGone(suspect: Suspect): Promise<Omit<Exit, "at">> {
    void this.#options.pods.remove(suspect.name).catch(() => {});
    return await this.#fence.hold(suspect);
  }

  /** Nothing lives in it: its Pod goes, and then its row. */
  #discard({ name }: Pick<Row, "name">): void {
    const { pods, rows } = this.#options;
    // What the end of the daemon comes before, the next one does.
    pods.remove(name).then(
      () => rows.delete(name),
      () => {},
    );
  }

  /** Ends a pod of ours that no row speaks of, as after a restored backup, or where its making was given up in the middle. */
  #collect(pod: Pod): void {
    const { rows, log } = this.#options;
    const { name, deletionTimestamp } = pod.metadata;
    // What is on its way out has no row any more.
    const isKnown = rows.find(name) !== undefined || this.#strangers.has(name);
    if (deletionTimestamp !== undefined || isKnown) return;
    this.#strangers.add(name);
    log.warn({ pod: name }, "kubernetes: a pod that nothing here knows of is ended");
    void this.#untilGone(strangerOf(pod, this.#openedAt));
  }

  #nextNumber({ ref, generation = 1 }: PodWorkload): number {
    const known = this.#options.rows.list().filter((row) => isOf(row, ref));
    return Math.max(generation, ...known.map((row) => row.generation + 1));
  }

  async #claim(ref: Ref, { pod }: PodServer, signal: AbortSignal): Promise<string | undefined> {
    if (pod.home === null) return undefined;
    const { installation, pods } = this.#options;
    const name = homeName(installation, ref);
    await pods.ensureClaim(homeClaim({ name, installation, ref, home: pod.home }), signal);
    return name;
  }
}
