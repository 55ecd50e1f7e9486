import { SupervisorError, counted, toSupervisorError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import { passed } from "../platform/abort.ts";
import type { DownState, Ref } from "./instance-types.ts";

/** A child that lived for this long was well, whatever ended it then; so was one that answered a call. */
export const WELL_AFTER_MS = 10_000;
/** So many failures in a row park an instance: one more start would not change anything by itself. */
const MAX_FAILURES = 10;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** Children that failed together, as when a service they need was down, must not come back together. */
const JITTER = 0.2;
/** After that a message gets one start of a parked instance: what was wrong outside may be right again. */
const PARKED_MS = 5 * 60_000;

/** Whether so many failures are held against it that only a message now and then starts it. */
export const isParked = ({ failures }: { failures: number }): boolean => failures >= MAX_FAILURES;

const SHORTAGES: readonly ErrorCode[] = ["RESOURCES_EXHAUSTED", "DISK_FULL", "INSTANCE_LIMIT"];

/** Whether a start failed for want of processes, memory, descriptors, disk or room in the cluster: no failure of the child's, and maybe over in a moment. */
export const isShortage = (failure: unknown): boolean =>
  SHORTAGES.includes(toSupervisorError(failure).code);

/**
 * When a user's server may start again: at once as long as it does well, later and later as it fails.
 *
 * All times are `performance.now()`: a wall clock that is set moves nothing here.
 */
export class RestartPolicy {
  #failures = 0;
  #last = "";
  #failedAt = 0;
  #retryAt = 0;

  /**
   * `what` is the failure as a predicate of the child: `exited with code 1 before it was ready`. One
   * that had begun before the last failure is none in a row: several sessions may start at once.
   */
  failed(what: string, begunAt = Infinity): void {
    this.#last = what;
    if (this.#failures > 0 && begunAt < this.#failedAt) return;
    this.#failures++;
    this.#failedAt = performance.now();
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** (this.#failures - 1), LONGEST_WAIT_MS);
    const jitter = 1 - JITTER + Math.random() * 2 * JITTER;
    this.#retryAt = performance.now() + (this.isParked ? PARKED_MS : waitMs * jitter);
  }

  /** The child did well, or somebody has seen to it: the next start is at once. */
  clear(): void {
    this.#failures = 0;
  }

  /** `failures` in a row; 0 means that nothing is held against the instance. */
  get failures(): number {
    return this.#failures;
  }

  get isParked(): boolean {
    return isParked(this);
  }

  /** From when on a message starts the child again. */
  get retryAt(): number {
    return this.#retryAt;
  }

  /**
   * INSTANCE_BACKING_OFF for a message that comes now, where the instance is parked or the wait is
   * longer than the message's patience; undefined where it may wait or go on.
   */
  refusal({ user, server }: Ref, patienceMs: number): SupervisorError | undefined {
    const leftMs = this.#leftMs();
    if (leftMs === 0 || (!this.isParked && leftMs <= patienceMs)) return undefined;
    const seconds = Math.ceil(leftMs / 1000);
    const next = this.isParked
      ? `parked; it is tried again after a restart by an admin, a new token or config, or by a message in ${seconds} s`
      : `it is tried again in ${seconds} s`;
    return new SupervisorError(
      "INSTANCE_BACKING_OFF",
      `${user}/${server}: the child ${this.#last} (${counted(this.#failures, "failure", "failures in a row")}); ${next}`,
      { retryAfterSeconds: seconds },
    );
  }

  /** The state of a child that nothing is left of, for this reason; `since` is epoch ms. */
  down(since: number, reason: string): DownState {
    if (this.#failures === 0) return { name: "stopped", since, reason };
    return {
      name: this.isParked ? "parked" : "backing-off",
      since,
      reason,
      retryAt: this.#retryAt,
    };
  }

  /** Whether a start now would be before its time. */
  get isTooEarly(): boolean {
    return this.#leftMs() > 0;
  }

  /** Resolves when the instance may start. Rejects with the signal's reason when that aborts first. */
  async wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // A timer may fire a little early; a start before its time would be none of the policy's.
    for (let leftMs = this.#leftMs(); leftMs > 0; leftMs = this.#leftMs())
      await passed(Math.ceil(leftMs), signal);
  }

  #leftMs(): number {
    return this.#failures === 0 ? 0 : Math.max(0, this.#retryAt - performance.now());
  }
}
