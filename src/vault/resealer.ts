import { setTimeout as delay } from "node:timers/promises";
import type { RowKey, SealedRows, Store } from "../store/store.ts";
import { keyIdOf } from "./box.ts";

/** Rows of one transaction. */
const ROWS_AT_ONCE = 200;
/** Whoever calls meanwhile waits for this long, and a commit more: large boxes make a shorter transaction. */
const STEP_MS = 2;
/** The rests between are so much longer than the steps that others notice none of it. */
const REST_FACTOR = 4;
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
    let after: RowKey | undefined;
    do {
      const startedAt = performance.now();
      after = this.#step(column, after);
      await this.#rest(REST_FACTOR * (performance.now() - startedAt));
    } while (after !== undefined);
  }

  async #rest(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#stop.signal });
  }

  /** The last row that is done; undefined behind the last of all. */
  #step(column: SealedRows, after: RowKey | undefined): RowKey | undefined {
    const until = performance.now() + STEP_MS;
    const rows = column.after(after, ROWS_AT_ONCE);
    const newest = this.#parts.newest();
    const old = rows.filter(({ head }) => keyIdOf(head) !== newest);
    let last = rows.length < ROWS_AT_ONCE ? undefined : rows.at(-1)?.key;
    if (old.length === 0) return last;
    // What a power loss takes back is sealed with a key that is still there: a key that is dropped goes
    // after a write that waits for the disk, and for all before it.
    this.#parts.store.relaxed(() => {
      for (const [index, { key }] of old.entries()) {
        const row = column.find(key)!;
        const box = this.#parts.reseal(row.box, row.place);
        if (box !== undefined) column.replace(key, box);
        if (performance.now() < until || index === old.length - 1) continue;
        last = key;
        return;
      }
    });
    return last;
  }
}
