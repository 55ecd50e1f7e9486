import { SpawnSlots } from "./spawn-slots.ts";
import type { Ref } from "./instance-types.ts";

/** So many users for whom a server did not start, and none for whom it did, say that no user is at fault. */
const TELLING_USERS = 5;

/** Whose turn it is to start. */
export class StartTurns {
  readonly #slots: SpawnSlots;
  /** Beside a slot: a crash loop leaves the machine to the others. */
  readonly #gentle = new SpawnSlots(1);
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
   */
  async run<T>(ref: Ref, signal: AbortSignal, start: () => Promise<T>, failures = 0): Promise<T> {
    const end = await this.take(ref, signal, failures);
    let isWell = false;
    try {
      const started = await start();
      isWell = true;
      this.clear(ref);
      return started;
    } catch (error) {
      if (!signal.aborted) this.#failed(ref);
      throw error;
    } finally {
      end(isWell);
    }
  }

  /** As `run`, for a start that is no user's: resolves with the function that ends the turn. */
  async take(
    { server }: Pick<Ref, "server">,
    signal: AbortSignal,
    failures = 0,
  ): Promise<(isWell?: boolean) => void> {
    if (failures === 0 && !this.#isBroken(server)) {
      const release = await this.#slots.take(signal);
      // A hundred users of it may have come at once, before the first of them had failed.
      if (!this.#isBroken(server)) return release;
      release();
    }
    const rank = failures + (this.#isBroken(server) ? TELLING_USERS : 0);
    const releaseGentle = await this.#gentle.takeGently(signal, rank);
    try {
      const release = await this.#slots.take(signal);
      return (isWell = false) => {
        release();
        releaseGentle(isWell);
      };
    } catch (error) {
      releaseGentle(true);
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
