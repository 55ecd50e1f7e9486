import { SupervisorError } from "../errors.ts";
import { SpawnSlots } from "./spawn-slots.ts";
import type { Ref } from "./instance-types.ts";
import type { StartEnd } from "./spawn-slots.ts";

/** So many users for whom a server did not start, and none for whom it did, say that no user is at fault. */
const TELLING_USERS = 2;
/** Where others are not to feel the starts, those that fail take a quarter of one core, and soon a twentieth. */
const gentleRestTimes = (failedInARow: number) => Math.min(3 * failedInARow, 19);

/** What is known of one that wants to start. */
export interface StartWish {
  /** Of it, in a row. */
  failures?: number;
  /** How long it waits behind others that fail; undefined: as long as it takes. */
  patienceMs?: number;
}

/** Whose turn it is to start. */
export class StartTurns {
  readonly #slots: SpawnSlots;
  /** Beside a slot: a crash loop leaves the machine to the others. */
  readonly #gentle = new SpawnSlots(1, { restTimes: gentleRestTimes });
  /** Per server: for whom it failed to start since it last did. */
  readonly #failedFor = new Map<string, Set<string>>();

  constructor(slots: SpawnSlots) {
    this.#slots = slots;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#slots.waiting + this.#gentle.waiting;
  }

  /**
   * Starts when it is this one's turn; resolves and rejects as `start` does, and with the signal's
   * reason when that aborts first. Starts after `failures` in a row, and those of a server that
   * starts for nobody, go one at a time, with a rest after each that fails; who failed less often
   * comes first, so that one who failed once does not wait for a hundred who always do.
   *
   * Rejects with INSTANCE_BACKING_OFF where the wait for such a turn is longer than `patienceMs`.
   */
  async run<T>(
    ref: Ref,
    signal: AbortSignal,
    start: () => Promise<T>,
    wish: StartWish = {},
  ): Promise<T> {
    const end = await this.take(ref, signal, wish);
    try {
      const started = await start();
      this.clear(ref);
      end("well");
      return started;
    } catch (error) {
      if (!signal.aborted) this.#failed(ref);
      end("failed");
      throw error;
    }
  }

  /**
   * As `run`, for a start that is no user's: resolves with the function that ends the turn, and
   * rejects as `run` does where it does not come.
   */
  async take(
    { user, server }: Pick<Ref, "user" | "server">,
    signal: AbortSignal,
    { failures = 0, patienceMs }: StartWish = {},
  ): Promise<(end: StartEnd) => void> {
    if (failures === 0 && !this.#isBroken(server)) {
      const release = await this.#slots.take(signal);
      // A hundred users of it may have come at once, before the first of them had failed.
      if (!this.#isBroken(server)) return release;
      release("unknown");
    }
    const rank = failures + (this.#isBroken(server) ? TELLING_USERS : 0);
    const patience = new AbortController();
    const giveUp = (waitedMs: number) => patience.abort(outOfTurn(user, server, waitedMs));
    const timer = patienceMs === undefined ? undefined : setTimeout(giveUp, patienceMs, patienceMs);
    const releaseGentle = await this.#gentle
      .take(AbortSignal.any([signal, patience.signal]), rank)
      .finally(() => clearTimeout(timer));
    try {
      const release = await this.#slots.take(signal);
      return (end) => {
        release("unknown");
        releaseGentle(end);
      };
    } catch (error) {
      releaseGentle("unknown");
      throw error;
    }
  }

  /** The server could be started, or somebody has seen to it. */
  clear({ server }: Pick<Ref, "server">): void {
    this.#failedFor.delete(server);
  }

  #failed({ server, user }: Ref): void {
    const users = this.#failedFor.get(server) ?? new Set();
    if (users.size < TELLING_USERS) this.#failedFor.set(server, users.add(user));
  }

  #isBroken(server: string): boolean {
    return this.#failedFor.get(server)?.size === TELLING_USERS;
  }
}

function outOfTurn(user: string, server: string, waitedMs: number): SupervisorError {
  const seconds = Math.ceil(waitedMs / 1000);
  return new SupervisorError(
    "INSTANCE_BACKING_OFF",
    `${user}/${server}: the child was not started within ${seconds} s: starts after a failure go one at a time, and others came first`,
    { retryAfterSeconds: seconds },
  );
}
