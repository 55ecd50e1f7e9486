import { SupervisorError, counted } from "../errors.ts";
import type { Config } from "../config/config.ts";
import type { Ref, StateName } from "./instance-types.ts";
import { rssOf } from "./memory.ts";

/** Between a child's start, or a caller's asking for it, and the first message a child looks idle and is not. */
const WANTED_MS = 1_000;
/** What a sample of the memory is good for; the kernel is asked about every process for one. */
const SAMPLE_MS = 2_000;
/** Children grow after their start, so the sum is looked at now and then. */
const LOOK_MS = 10_000;
/** When a place will be free nobody knows; soon after is when somebody else was idle. */
const RETRY_AFTER_SECONDS = 10;

/** An instance, as far as its place is concerned. */
export interface Tenant {
  readonly ref: Ref;
  readonly state: StateName;
  readonly idleSince: number | undefined;
  stop(reason: string): Promise<void>;
  rssBytes(): Promise<number | null>;
}

export interface AdmissionOptions {
  /** Read at each decision: a reload changes them. */
  limits: Config["limits"];
  /** Whether children of this server may be stopped to make room. */
  isSpare: (server: string) => boolean;
  onFailure: (tenant: Tenant, error: unknown) => void;
}

interface Heir {
  tenant: Tenant;
  enter: () => void;
}

/**
 * Who may have a child: so many on this machine, so many for one user, and so much memory for all.
 *
 * A child has a place from before its start until nothing of it is left. When there is no place, the
 * child that has been idle for the longest time is stopped and hands its own to the one that asked.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #places = new Set<Tenant>();
  /** Children that are on their way out, and who comes after them. */
  readonly #heirs = new Map<Tenant, Heir>();
  #sample: { at: number; bytes: Promise<number> } | undefined;
  /** One at a time: two that find the memory full at once must not stop two children for it. */
  #memoryTurn: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** How many wait for the place of a child that is on its way out. */
  get waiting(): number {
    return this.#heirs.size;
  }

  /**
   * Resolves when the instance has a place, which it keeps until `left`. Rejects with
   * TOO_MANY_CHILDREN or INSTANCE_LIMIT where nothing can be stopped for it, or with the signal's
   * reason.
   */
  async admit(tenant: Tenant, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { limits } = this.#options;
    const others = [...this.#places].filter((other) => other !== tenant);
    const own = others.filter(({ ref }) => ref.user === tenant.ref.user);
    if (own.length >= limits.childrenPerUser) await this.#succeed(tenant, own, signal);
    else if (others.length >= limits.children) await this.#succeed(tenant, others, signal);
    else this.#places.add(tenant);
    if (others.length === 0) return;
    const turn = this.#memoryTurn.then(() => this.#makeMemory(tenant, signal));
    this.#memoryTurn = turn.catch(() => {});
    await turn;
  }

  /** Nothing of the instance runs any more, or it did not come to that. */
  left(tenant: Tenant): void {
    if (!this.#places.delete(tenant)) return;
    const heir = this.#heirs.get(tenant);
    this.#heirs.delete(tenant);
    if (heir === undefined) return;
    this.#places.add(heir.tenant);
    heir.enter();
  }

  /** The children that run are looked at from time to time, until `close`. */
  watchMemory(): void {
    this.#timer ??= setInterval(() => void this.#look(), LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #succeed(tenant: Tenant, among: readonly Tenant[], signal: AbortSignal): Promise<void> {
    const free = among.filter((other) => !this.#heirs.has(other));
    const leaving = free.find(({ state }) => state === "draining");
    const victim = leaving ?? this.#longestIdle(free);
    if (victim === undefined) throw this.#noPlace(tenant, among);
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        if (this.#heirs.get(victim)?.tenant === tenant) this.#heirs.delete(victim);
        reject(signal.reason as Error);
      };
      const enter = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      this.#heirs.set(victim, { tenant, enter });
      signal.addEventListener("abort", leave, { once: true });
      if (leaving === undefined)
        void this.#retire(victim, "stopped: idle, and its place was needed");
    });
  }

  async #makeMemory(tenant: Tenant, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const bytes = await this.#memoryBytes();
      const { memoryBytes } = this.#options.limits;
      if (bytes < memoryBytes) return;
      const victim = this.#longestIdle([...this.#places].filter((other) => other !== tenant));
      if (victim === undefined)
        throw refusal(
          tenant,
          "INSTANCE_LIMIT",
          `the children of this machine hold ${mebibytes(bytes)} MiB of the ${mebibytes(memoryBytes)} they may (limits.memory), and none of them is idle`,
        );
      await this.#retire(victim, "stopped: idle, and its memory was needed");
      this.#sample = undefined;
    }
  }

  async #look(): Promise<void> {
    if (this.#places.size === 0 || (await this.#memoryBytes()) < this.#options.limits.memoryBytes)
      return;
    const victim = this.#longestIdle([...this.#places]);
    if (victim !== undefined)
      await this.#retire(victim, "stopped: idle, and its memory was needed");
  }

  async #memoryBytes(): Promise<number> {
    const now = performance.now();
    if (this.#sample === undefined || now - this.#sample.at > SAMPLE_MS)
      this.#sample = { at: now, bytes: sumOf([...this.#places]) };
    return await this.#sample.bytes;
  }

  #longestIdle(among: readonly Tenant[]): Tenant | undefined {
    const latest = performance.now() - WANTED_MS;
    let found: Tenant | undefined;
    let since = Infinity;
    for (const tenant of among) {
      const { idleSince } = tenant;
      if (idleSince === undefined || idleSince > latest || idleSince >= since) continue;
      if (!this.#options.isSpare(tenant.ref.server)) continue;
      found = tenant;
      since = idleSince;
    }
    return found;
  }

  async #retire(tenant: Tenant, reason: string): Promise<void> {
    try {
      await tenant.stop(reason);
    } catch (error) {
      this.#options.onFailure(tenant, error);
    }
  }

  #noPlace(tenant: Tenant, among: readonly Tenant[]): SupervisorError {
    const isOwn = among.every(({ ref }) => ref.user === tenant.ref.user);
    const { children, childrenPerUser } = this.#options.limits;
    return isOwn && among.length >= childrenPerUser
      ? refusal(
          tenant,
          "TOO_MANY_CHILDREN",
          `${counted(childrenPerUser, "child of this user runs", "children of this user run")}, which is the limit (limits.childrenPerUser), and none is idle`,
        )
      : refusal(
          tenant,
          "INSTANCE_LIMIT",
          `${counted(children, "child runs", "children run")} on this machine, which is the limit (limits.children), and none is idle`,
        );
  }
}

async function sumOf(tenants: readonly Tenant[]): Promise<number> {
  const sizes = await rssOf(tenants);
  return sizes.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0);
}

const mebibytes = (bytes: number): number => Math.round(bytes / 1024 ** 2);

function refusal(
  { ref: { user, server } }: Tenant,
  code: "TOO_MANY_CHILDREN" | "INSTANCE_LIMIT",
  what: string,
): SupervisorError {
  return new SupervisorError(code, `${user}/${server}: ${what}`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}
