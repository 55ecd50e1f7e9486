/** What was opened, in order; it is closed in reverse. */
export class Closers {
  readonly #closers: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  /** Takes over the end of what was just opened, and gives it back. */
  opened<T extends { close(): unknown }>(resource: T): T {
    this.push(() => resource.close());
    return resource;
  }

  push(closer: () => unknown): void {
    this.#closers.push(closer);
  }

  /** Runs all closers, once, and then rejects with the first failure if there was one. */
  async close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    await this.#closing;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const closer of this.#closers.toReversed()) {
      try {
        await closer();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

/** Resolves with what `open` opens. Where it rejects, what it had given to the closers is closed first. */
export async function openOrClose<T>(
  log: { error(about: object, message: string): void },
  open: (closers: Closers) => Promise<T>,
): Promise<T> {
  const closers = new Closers();
  try {
    return await open(closers);
  } catch (error) {
    await closers.close().catch((failure: unknown) => {
      log.error({ err: failure }, "closing after a failed start failed too");
    });
    throw error;
  }
}
