import { SupervisorError, counted } from "../errors.ts";
import type { Config } from "../config/config.ts";
import { keyOf } from "./instance-types.ts";
import type { Ref, StateName } from "./instance-types.ts";
import { onAbort } from "../platform/abort.ts";
import { mebibytes } from "../platform/sizes.ts";
import { rssOf } from "./memory.ts";

/** Between a child's start, or a caller's asking for it, and the first message a child looks idle and is not. */
const WANTED_MS = 1_000;
/** What a sample of the memory is good for; the kernel is asked about every process for one. */
const SAMPLE_MS = 2_000;
/** Children grow after their start, so the sum is looked at now and then. */
const LOOK_MS = 10_000;
/** When a place will be free nobody knows; soon after is when somebody else was idle. */
const RETRY_AFTER_SECONDS = 10;

/** A generation of an instance, as far as its place is concerned. */
export interface Candidate {
  readonly ref: Ref;
  /** It runs in the cluster, and has nothing of this machine. */
  readonly isPod: boolean;
  readonly state: { readonly name: StateName };
  /** Another one serves in its place: it only answers the calls that it has. */
  readonly isHandedOver: boolean;
  /** Undefined for one that does not serve. */
  readonly idleSince: number | undefined;
  /** Ends the instance. */
  stop(reason: string): Promise<void>;
  rssBytes(): Promise<number | null>;
}

export interface AdmissionOptions {
  /** Read at each decision: a reload changes them. */
  limits: Config["limits"];
  /** How many pods there may be; read at each decision too. */
  maxPods: () => number;
  /** Whether children of this server may be stopped to make room. */
  isSpare: (server: string) => boolean;
  onFailure: (candidate: Candidate, error: unknown) => void;
}

type Limit = "children" | "childrenPerUser" | "maxPods";

interface Successor {
  candidate: Candidate;
  enter: () => void;
}

/**
 * Who may have a child: so many on this machine and so much memory for all of them, so many as pods, and
 * so many of both for one user.
 *
 * A child has a place from before its start until nothing of it is left. When there is no place, the
 * child that has been idle for the longest time is stopped and hands its own to the one that asked.
 * For a child that starts beside the one it takes over from nobody is stopped, and the two are one
 * child of their user's.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #places = new Set<Candidate>();
  /** Children that are on their way out, and who comes after them. */
  readonly #successors = new Map<Candidate, Successor>();
  /** What children that start beside another will need, by what that one has. */
  readonly #expected = new Map<Candidate, { readonly at: number; readonly bytes: number }>();
  #sample: { at: number; bytes: Promise<number> } | undefined;
  /** One at a time: two that find the memory full at once must not stop two children for it. */
  #memoryTurn: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** How many wait for the place of a child that is on its way out. */
  get waiting(): number {
    return this.#successors.size;
  }

  /**
   * Resolves when the instance has a place, which it keeps until `left`. Rejects with
   * TOO_MANY_CHILDREN or INSTANCE_LIMIT where nothing can be stopped for it, or with the signal's
   * reason.
   */
  async admit(candidate: Candidate, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { isPod } = candidate;
    const alike = this.#all(isPod);
    const others = [...this.#places];
    const own = others.filter((other) => isOwn(other, candidate) && !other.isHandedOver);
    const { childrenPerUser } = this.#options.limits;
    const isUserFull = new Set(own.map(({ ref }) => keyOf(ref))).size >= childrenPerUser;
    const isFull = this.#isFull(isPod);
    if (isUserFull) {
      // Where both are full, one goes that makes room in both.
      const among = isFull ? own.filter((other) => other.isPod === isPod) : own;
      await this.#evict(candidate, among, signal, "childrenPerUser");
    } else if (isFull) await this.#evict(candidate, alike, signal, isPod ? "maxPods" : "children");
    else this.#places.add(candidate);
    if (isPod || alike.length === 0) return;
    const turn = this.#memoryTurn.then(() => this.#makeMemory(candidate, signal));
    this.#memoryTurn = turn.catch(() => {});
    await turn;
  }

  /**
   * Whether there is a place for the next generation beside the one that serves: it has it then, as
   * after `admit`. Nobody is stopped for it.
   */
  async admitBeside(candidate: Candidate, before: Candidate): Promise<boolean> {
    const { limits } = this.#options;
    if (this.#isFull(candidate.isPod)) return false;
    this.#places.add(candidate);
    if (candidate.isPod) return true;
    const expected = (await before.rssBytes()) ?? 0;
    this.#expected.set(candidate, { at: performance.now(), bytes: expected });
    const turn = this.#memoryTurn.then(() => this.#memoryBytes());
    this.#memoryTurn = turn.catch(() => {});
    const bytes = (await turn) + this.#expectedBytes();
    if (bytes <= limits.memoryBytes) return true;
    this.left(candidate);
    return false;
  }

  /** Stops the pod that has been idle for the longest time, for one that the cluster has no room for; false where none is idle. */
  async makeRoom(candidate: Candidate): Promise<boolean> {
    const victim = this.#longestIdle(this.#all(true).filter((other) => other !== candidate));
    if (victim === undefined) return false;
    await this.#retire(victim, "stopped: idle, and its place was needed");
    return true;
  }

  /** Nothing of the generation runs any more, or it did not come to that. */
  left(candidate: Candidate): void {
    this.#expected.delete(candidate);
    if (!this.#places.delete(candidate)) return;
    const successor = this.#successors.get(candidate);
    this.#successors.delete(candidate);
    if (successor === undefined) return;
    this.#places.add(successor.candidate);
    successor.enter();
  }

  /** The children that run are looked at from time to time, until `close`. */
  watchMemory(): void {
    this.#timer ??= setInterval(() => void this.#look(), LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Those that are pods, or those of this machine. */
  #all(isPod: boolean): Candidate[] {
    return [...this.#places].filter((other) => other.isPod === isPod);
  }

  #isFull(isPod: boolean): boolean {
    const { limits, maxPods } = this.#options;
    // Whoever waits for the place of one of the other kind will be one more.
    const coming = [...this.#successors].filter(
      ([victim, { candidate }]) => candidate.isPod === isPod && victim.isPod !== isPod,
    );
    return this.#all(isPod).length + coming.length >= (isPod ? maxPods() : limits.children);
  }

  async #evict(
    candidate: Candidate,
    among: readonly Candidate[],
    signal: AbortSignal,
    limit: Limit,
  ): Promise<void> {
    const free = among.filter((other) => !this.#successors.has(other));
    const leaving = free.filter(({ state }) => state.name === "draining");
    const idle = this.#longestIdle(free);
    // One that answers calls still may take its time.
    const victim = leaving.find(({ isHandedOver }) => !isHandedOver) ?? idle ?? leaving[0];
    if (victim === undefined) throw this.#noPlace(candidate, limit);
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        forget();
        resolve();
      };
      this.#successors.set(victim, { candidate, enter });
      const forget = onAbort(signal, () => {
        if (this.#successors.get(victim)?.candidate === candidate) this.#successors.delete(victim);
        reject(signal.reason as Error);
      });
      if (victim === idle) void this.#retire(victim, "stopped: idle, and its place was needed");
    });
  }

  async #makeMemory(candidate: Candidate, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const bytes = await this.#memoryBytes();
      const { memoryBytes } = this.#options.limits;
      if (bytes < memoryBytes) return;
      const victim = this.#longestIdle(this.#all(false).filter((other) => other !== candidate));
      if (victim === undefined)
        throw refusal(
          candidate,
          "INSTANCE_LIMIT",
          `the children of this machine hold ${mebibytes(bytes)} MiB of the ${mebibytes(memoryBytes)} they may (limits.memory), and none of them is idle`,
        );
      await this.#retire(victim, "stopped: idle, and its memory was needed");
      this.#sample = undefined;
    }
  }

  async #look(): Promise<void> {
    const { memoryBytes } = this.#options.limits;
    if (this.#all(false).length === 0 || (await this.#memoryBytes()) < memoryBytes) return;
    const victim = this.#longestIdle(this.#all(false));
    if (victim !== undefined)
      await this.#retire(victim, "stopped: idle, and its memory was needed");
  }

  async #memoryBytes(): Promise<number> {
    const now = performance.now();
    if (this.#sample === undefined || now - this.#sample.at > SAMPLE_MS)
      this.#sample = { at: now, bytes: sumOf(this.#all(false)) };
    return await this.#sample.bytes;
  }

  /** Of those that have not had the time to take it, or not when the memory was last looked at. */
  #expectedBytes(): number {
    const sampledAt = this.#sample?.at ?? 0;
    let sum = 0;
    for (const [{ state }, { at, bytes }] of this.#expected)
      if (state.name === "starting" || at > sampledAt) sum += bytes;
    return sum;
  }

  #longestIdle(among: readonly Candidate[]): Candidate | undefined {
    const latest = performance.now() - WANTED_MS;
    let found: Candidate | undefined;
    let since = Infinity;
    for (const candidate of among) {
      const { idleSince } = candidate;
      if (idleSince === undefined || idleSince > latest || idleSince >= since) continue;
      if (!this.#options.isSpare(candidate.ref.server)) continue;
      found = candidate;
      since = idleSince;
    }
    return found;
  }

  async #retire(candidate: Candidate, reason: string): Promise<void> {
    try {
      await candidate.stop(reason);
    } catch (error) {
      this.#options.onFailure(candidate, error);
    }
  }

  #noPlace(candidate: Candidate, limit: Limit): SupervisorError {
    const { limits, maxPods } = this.#options;
    if (limit === "maxPods")
      return refusal(
        candidate,
        "INSTANCE_LIMIT",
        `${counted(maxPods(), "pod runs", "pods run")}, which is the limit (kubernetes.maxPods), and none is idle`,
      );
    const count = limits[limit];
    return limit === "childrenPerUser"
      ? refusal(
          candidate,
          "TOO_MANY_CHILDREN",
          `${counted(count, "child of this user runs", "children of this user run")}, which is the limit (limits.childrenPerUser), and none is idle`,
        )
      : refusal(
          candidate,
          "INSTANCE_LIMIT",
          `${counted(count, "child runs", "children run")} on this machine, which is the limit (limits.children), and none is idle`,
        );
  }
}

/** Another child of the same user's. */
const isOwn = ({ ref }: Candidate, of: Candidate): boolean =>
  ref.user === of.ref.user && keyOf(ref) !== keyOf(of.ref);

async function sumOf(children: readonly Candidate[]): Promise<number> {
  const sizes = await rssOf(children);
  return sizes.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0);
}

function refusal(
  { ref: { user, server } }: Candidate,
  code: "TOO_MANY_CHILDREN" | "INSTANCE_LIMIT",
  what: string,
): SupervisorError {
  return new SupervisorError(code, `${user}/${server}: ${what}`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}
