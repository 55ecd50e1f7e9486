import { setTimeout as delay } from "node:timers/promises";
import type { RowKey, SealedHead, SealedRows, Store } from "../store/store.ts";
import { keyIdOf } from "./box.ts";

/** Rows that are looked at together, and change in one transaction. */
const ROWS_AT_ONCE = 200;
/** A transaction has fewer rows where their boxes are larger than this together. */
const BYTES_AT_ONCE = 256 * 1024;
/** Boxes are made for no longer before others have their turn; to write them takes no longer either. */
const STEP_MS = 1;
/**
 * The rests between are so much longer than the steps: less than one call in a hundred comes while a step
 * lasts. What the steps leave behind wants that, too: each box costs some ten objects, and at a higher rate
 * they make the garbage collector hold up everybody else. 10,000 rows take half a minute.
 */
const REST_FACTOR = 120;
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
  /** How many times as long as a step the rest behind it is; 120. */
  restFactor?: number | undefined;
}

/** Rows that are sealed anew together. */
interface Batch {
  /** How many rows were looked at for it. */
  seen: number;
  bytes: number;
  changes: { key: RowKey; old: Buffer; box: Buffer }[];
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
      while (old.length > 0) old = await this.#resealSome(column, old);
    } while (page.length === ROWS_AT_ONCE);
  }

  /** Seals the first of these rows anew, in one transaction; those that are left. */
  async #resealSome(column: SealedRows, rows: SealedHead[]): Promise<SealedHead[]> {
    const key = this.#parts.newest();
    const batch: Batch = { seen: 0, bytes: 0, changes: [] };
    while (batch.seen < rows.length && batch.bytes < BYTES_AT_ONCE)
      await this.#work(() => this.#prepare(column, rows, batch));
    // With a newer key by now all rows are gone through once more, and this one may be dropped already.
    if (key === this.#parts.newest()) await this.#work(() => this.#write(column, batch));
    return rows.slice(batch.seen);
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

  /** Adds to the batch, for one step, what the next of these rows change to. */
  #prepare(column: SealedRows, rows: readonly SealedHead[], batch: Batch): void {
    const until = performance.now() + STEP_MS;
    for (const { key } of rows.slice(batch.seen)) {
      batch.seen += 1;
      // One that is gone meanwhile needs nothing.
      const row = column.find(key);
      const box = row && this.#parts.reseal(row.box, row.place);
      if (box !== undefined) batch.changes.push({ key, old: row!.box, box });
      batch.bytes += row?.box.length ?? 0;
      if (performance.now() >= until || batch.bytes >= BYTES_AT_ONCE) return;
    }
  }

  #write(column: SealedRows, { changes }: Batch): void {
    // What a power loss takes back is sealed with a key that is still there: a key that is dropped goes
    // after a write that waits for the disk, and for all before it.
    this.#parts.store.relaxed(() => {
      for (const { key, old, box } of changes) column.replace(key, old, box);
    });
  }
}
