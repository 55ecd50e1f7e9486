import type { SupervisorError } from "../errors.ts";

/** Whether a server has taken a message: told by its first word on it, or after `patienceMs` by its silence. */
export class Acceptance {
  /** Resolves when it was taken. Rejects with what the server had against it. */
  readonly done: Promise<void>;
  #settle: { resolve: () => void; reject: (error: SupervisorError) => void } | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(patienceMs: number | undefined) {
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    if (patienceMs !== undefined) this.#timer = setTimeout(() => this.accept(), patienceMs);
  }

  accept(): void {
    this.#take()?.resolve();
  }

  /** False when it is too late, because the sender has been told that it was taken. */
  refuse(error: SupervisorError): boolean {
    const settle = this.#take();
    settle?.reject(error);
    return settle !== undefined;
  }

  #take() {
    clearTimeout(this.#timer);
    const settle = this.#settle;
    this.#settle = undefined;
    return settle;
  }
}
