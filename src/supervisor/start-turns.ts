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
   * Resolves when it is this start's turn, with a function that ends the turn. Starts after a failure
   * (`isRetry`), and those of a server that starts for nobody, go one at a time with a rest.
   * Rejects with the signal's reason when that aborts first.
   */
  async take({ server }: Ref, signal: AbortSignal, isRetry = false): Promise<() => void> {
    if (!isRetry && !this.#isBroken(server)) {
      const release = await this.#slots.take(signal);
      // A hundred users of it may have come at once, before the first of them had failed.
      if (!this.#isBroken(server)) return release;
      release();
    }
    const releaseGentle = await this.#gentle.takeGently(signal);
    try {
      const release = await this.#slots.take(signal);
      return () => {
        release();
        releaseGentle();
      };
    } catch (error) {
      releaseGentle();
      throw error;
    }
  }

  /** To be told of each failure, at the start or later. */
  failed({ server, user }: Ref): void {
    const users = this.#failedFor.get(server) ?? new Set();
    if (users.size < TELLING_USERS) this.#failedFor.set(server, users.add(user));
  }

  /** The server could be started, or somebody has seen to it. */
  clear({ server }: Ref): void {
    this.#failedFor.delete(server);
  }

  #isBroken(server: string): boolean {
    return this.#failedFor.get(server)?.size === TELLING_USERS;
  }
}
