import { SupervisorError } from "../errors.ts";
import { StartSlots } from "./start-slots.ts";
import type { Ref } from "./instance-types.ts";
import type { StartEnd } from "./start-slots.ts";

/** So many users for whom a server did not start, and none for whom it did, say that no user is at fault. */
const TELLING_USERS = 2;
/** Where others are not to feel the starts, those that fail take a quarter of one core, and soon a fiftieth. */
const gentleRestTimes = (failedInARow: number) => Math.min(3 * 2 ** (failedInARow - 1), 48);

/** Ends the wait of those who come one at a time only because the server starts for nobody. */
const MENDED = new Error("the server starts again");

/** A server that failed to start, and for nobody did since. */
interface Failing {
  readonly users: Set<string>;
  /** Aborts with MENDED. */
  readonly mended: AbortController;
}

/** What is known of one that wants to start. */
export interface StartOptions {
  /** Of it, in a row. */
  failures?: number;
  /** How long it waits behind others that fail; undefined: as long as it takes. */
  patienceMs?: number;
}

/** Whose turn it is to start. */
export class StartScheduler {
  readonly #slots: StartSlots;
  /** Beside a slot: a crash loop leaves the machine to the others. */
  readonly #gentle = new StartSlots(1, { restTimes: gentleRestTimes });
  readonly #failing = new Map<string, Failing>();

  constructor(slots: StartSlots) {
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
    wish: StartOptions = {},
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
    ref: Pick<Ref, "user" | "server">,
    signal: AbortSignal,
    { failures = 0, patienceMs }: StartOptions = {},
  ): Promise<(end: StartEnd) => void> {
    for (;;) {
      const broken = this.#broken(ref.server);
      if (failures === 0 && broken === undefined) {
        const end = await this.#slots.take(signal);
        // A hundred users of it may have come at once, before the first of them had failed.
        if (this.#broken(ref.server) === undefined) return end;
        end("unknown");
        continue;
      }
      const patience = patienceOf(ref, patienceMs);
      const ends = [signal, patience.signal];
      // Who never failed need not come alone any longer, once the server starts for somebody.
      if (failures === 0 && broken !== undefined) ends.push(broken.mended.signal);
      try {
        const rank = failures + (broken?.users.size ?? 0);
        return await this.#takeGently(AbortSignal.any(ends), signal, rank);
      } catch (error) {
        if (error !== MENDED) throw error;
      } finally {
        clearTimeout(patience.timer);
      }
    }
  }

  /** The server could be started, or somebody has seen to it. */
  clear({ server }: Pick<Ref, "server">): void {
    const failing = this.#failing.get(server);
    this.#failing.delete(server);
    failing?.mended.abort(MENDED);
  }

  async #takeGently(
    turn: AbortSignal,
    slot: AbortSignal,
    rank: number,
  ): Promise<(end: StartEnd) => void> {
    const endGently = await this.#gentle.take(turn, rank);
    try {
      const endSlot = await this.#slots.take(slot);
      return (end) => {
        endSlot("unknown");
        endGently(end);
      };
    } catch (error) {
      endGently("unknown");
      throw error;
    }
  }

  #failed({ server, user }: Ref): void {
    const failing = this.#failing.get(server) ?? {
      users: new Set(),
      mended: new AbortController(),
    };
    this.#failing.set(server, failing);
    if (failing.users.size < TELLING_USERS) failing.users.add(user);
  }

  #broken(server: string): Failing | undefined {
    const failing = this.#failing.get(server);
    return failing?.users.size === TELLING_USERS ? failing : undefined;
  }
}

/** Aborts after so long with what is told to who waits; never, where it is undefined. */
function patienceOf(ref: Pick<Ref, "user" | "server">, patienceMs: number | undefined) {
  const patience = new AbortController();
  const giveUp = (waitedMs: number) => patience.abort(outOfTurn(ref, waitedMs));
  const timer = patienceMs === undefined ? undefined : setTimeout(giveUp, patienceMs, patienceMs);
  return { signal: patience.signal, timer };
}

function outOfTurn({ user, server }: Pick<Ref, "user" | "server">, waitedMs: number) {
  const seconds = Math.ceil(waitedMs / 1000);
  return new SupervisorError(
    "INSTANCE_BACKING_OFF",
    `${user}/${server}: the child was not started within ${seconds} s: starts after a failure go one at a time, and others came first`,
    { retryAfterSeconds: seconds },
  );
}
