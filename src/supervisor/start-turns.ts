import { SpawnSlots } from "./spawn-slots.ts";

/** Whose turn it is to start. */
export class StartTurns {
  readonly #slots: SpawnSlots;
  /** Beside a slot: users in a crash loop leave the machine to the others. */
  readonly #retries = new SpawnSlots(1);

  constructor(slots: SpawnSlots) {
    this.#slots = slots;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#slots.waiting + this.#retries.waiting;
  }

  /**
   * Resolves when it is this start's turn, with a function that ends the turn. Starts after a failure
   * (`isRetry`) go one at a time. Rejects with the signal's reason when that aborts first.
   */
  async take(signal: AbortSignal, isRetry = false): Promise<() => void> {
    if (!isRetry) return await this.#slots.take(signal);
    const releaseRetry = await this.#retries.takeGently(signal);
    try {
      const release = await this.#slots.take(signal);
      return () => {
        release();
        releaseRetry();
      };
    } catch (error) {
      releaseRetry();
      throw error;
    }
  }
}
