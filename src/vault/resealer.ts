import { setTimeout as delay } from "node:timers/promises";
import type { SealedHead, SealedRows, Store } from "../store/store.ts";
import { keyIdOf } from "./box.ts";

/** Rows that are looked at together. A transaction has no more than these. */
const ROWS_AT_ONCE = 200;
/** Whoever calls meanwhile waits for this long, and a commit more: large boxes make a shorter transaction. */
const STEP_MS = 1;
/**
 * The rests between are so much longer than the steps. It is less for the steps than for what they leave behind: each
 * box costs some ten objects, and at a higher rate they make the garbage collector hold up everybody else.
 */
const REST_FACTOR = 50;
/** A full disk may have room again. */
const RETRY_MS = 30_000;

export interface ResealerParts {
  store: Store;
  columns: readonly SealedRows[];
  /** The key to seal with. */
  newest: () => number;
  /** The same content in a box of the newest key; undefined where the box does not open. */
  reseal: (box: Buffer, place: string) => Buffer | undefined;
  onFailure: (error: unknown) => void;
  /** How many times as long as a step the rest behind it is; 50. */
  restFactor?: number | undefined;
}

/**
 * Seals every row anew that an older key has sealed, a few at a time, between all other work. It keeps
 * no record: after a crash it goes through the rows once more, and finds what is left by the boxes.
 */
export class Resealer {
  readonly #parts: ResealerParts;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #isAsked = false;

  constructor(parts: ResealerParts) {
    this.#parts = parts;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Goes through all rows, and once more where it is asked while it does. */
  start(): void {
    this.#isAsked = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves when no row is left for it. */
  async finished(): Promise<void> {
    await this.#running;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isAsked && !this.#stop.signal.aborted) {
      this.#isAsked = false;
      try {
        for (const column of this.#parts.columns) await this.#walk(column);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#parts.onFailure(error);
        this.#isAsked = true;
        await this.#rest(RETRY_MS).catch(() => undefined);
      }
    }
  }

  async #walk(column: SealedRows): Promise<void> {
    let page: SealedHead[] = [];
    do {
      page = await this.#work(() => column.after(page.at(-1)?.key, ROWS_AT_ONCE));
      let old = page.filter(({ head }) => keyIdOf(head) !== this.#parts.newest());
      while (old.length > 0) {
        const done = await this.#work(() => this.#step(column, old));
        old = old.slice(done);
      }
    } while (page.length === ROWS_AT_ONCE);
  }

  /** Does that, and lets others go on. */
  async #work<T>(part: () => T): Promise<T> {
    const startedAt = performance.now();
    const result = part();
    const { restFactor = REST_FACTOR } = this.#parts;
    await this.#rest(restFactor * (performance.now() - startedAt));
    return result;
  }

  async #rest(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#stop.signal });
  }

  /** Seals the first of these rows anew; how many. */
  #step(column: SealedRows, rows: readonly SealedHead[]): number {
    const until = performance.now() + STEP_MS;
    let done = 0;
    // What a power loss takes back is sealed with a key that is still there: a key that is dropped goes
    // after a write that waits for the disk, and for all before it.
    this.#parts.store.relaxed(() => {
      for (const { key } of rows) {
        // One that is gone meanwhile needs nothing.
        const row = column.find(key);
        const box = row && this.#parts.reseal(row.box, row.place);
        if (box !== undefined) column.replace(key, box);
        done += 1;
        if (performance.now() >= until) return;
      }
    });
    return done;
  }
}
