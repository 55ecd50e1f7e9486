import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { Live } from "./instance-types.ts";

/** The reason of an abort that wants the same callers served by another generation. */
export const AGAIN = new SupervisorError("INSTANCE_EXITED", "the start begins anew");

/** A start on its way, which all who want the child meanwhile share. */
export class Start {
  /** Settles once: a start that begins anew does so for the same callers. */
  readonly answer: Promise<Live>;
  #attempt = new AbortController();
  /** The failure of this start, once a stop has decided it. */
  #halted: SupervisorError | undefined;

  /**
   * `attempt` runs anew as often as it is told to, and once by itself where its failure `isAccident`;
   * its signal aborts when it has to give up.
   */
  constructor(
    attempt: (signal: AbortSignal) => Promise<Live>,
    isAccident: (failure: SupervisorError) => boolean,
  ) {
    this.answer = this.#run(attempt, isAccident);
    // One that nobody waits for may fail; its failure is in the state.
    this.answer.catch(() => {});
  }

  /** Gives up what is under way, and begins anew. */
  again(): void {
    this.#attempt.abort(AGAIN);
  }

  /** Gives up for good. Resolves when nothing is under way any more; whoever waited has the failure. */
  async halt(failure: SupervisorError): Promise<void> {
    this.#halted = failure;
    this.#attempt.abort(failure);
    await this.answer.catch(() => {});
  }

  async #run(
    attempt: (signal: AbortSignal) => Promise<Live>,
    isAccident: (failure: SupervisorError) => boolean,
  ): Promise<Live> {
    for (let mayTryAgain = true; ;) {
      this.#attempt = new AbortController();
      const { signal } = this.#attempt;
      try {
        return await attempt(signal);
      } catch (error) {
        // A stop may come after a restart had aborted this start already.
        if (this.#halted !== undefined) throw this.#halted;
        if (signal.reason === AGAIN) continue;
        if (signal.aborted || !mayTryAgain || !isAccident(toSupervisorError(error))) throw error;
        mayTryAgain = false;
      }
    }
  }
}
