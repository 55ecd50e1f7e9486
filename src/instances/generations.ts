import type { Generation, GenerationRow } from "./generation.ts";

/** The generations of one instance of which something is left: at most one takes calls, others drain beside it. */
export class Generations {
  /** Asked once a message, and so kept. */
  newest: Generation | undefined;
  #all: readonly Generation[] = [];

  add(generation: Generation): void {
    this.#all = [...this.#all, generation];
    this.newest = generation;
  }

  /** Nothing of it is left. */
  delete(generation: Generation): void {
    this.#all = this.#all.filter((one) => one !== generation);
    this.newest = this.#all.at(-1);
  }

  /** Resolves when nothing is left of those that the next one must not run beside. */
  async gone(): Promise<void> {
    await allGone(this.#all.filter(({ isHandedOver }) => !isHandedOver));
  }

  /** Nobody waits for their answers any more. Resolves when nothing is left of those that drain. */
  async hurry(): Promise<void> {
    for (const { work } of this.#all) work.hurry();
    await allGone(this.#all);
  }

  /** The newest first. */
  rows(): GenerationRow[] {
    return this.#all.map((generation) => generation.row()).toReversed();
  }
}

async function allGone(generations: readonly Generation[]): Promise<void> {
  await Promise.all(generations.map(({ gone }) => gone));
}
