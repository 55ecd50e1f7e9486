/** Room: audit. Who did what: every tool call, every order of an admin, every refused request. In: entries, as things end. Out: the same, from the database. Never sees an argument, a result or a secret. */
import type { SupervisorError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import type { AuditFilter, AuditRow } from "../store/store.ts";

export type { AuditFilter, AuditKind, AuditRow } from "../store/store.ts";

/** Rows are written together and not within the request: a moment later is soon enough to read about it. */
const GATHER_MS = 300;
/** As many are written at once, which takes a few milliseconds. */
const BATCH = 1000;
/** What waits when the disk does not take it; entries beyond are dropped and counted. */
const MAX_WAITING = 10_000;

const MAX_ROWS = 100_000;
const MAX_AGE_MS = 90 * 86_400_000;
/** So many rows lie between two looks at the bounds. */
const PRUNE_EVERY = 2_000;

const MAX_WHAT = 200;
const MAX_REASON = 400;
/** A disk that is full stays so for a while, and saying it once a minute is enough. */
const TELL_EVERY_MS = 60_000;

type Order = Pick<AuditRow, "what" | "user" | "server" | "requestId" | "who" | "durationMs">;

/** The entry of an admin's order, with what it failed of. */
export const orderRow = (order: Order, failure: SupervisorError | undefined): AuditRow => ({
  at: Date.now(),
  kind: "admin",
  ...order,
  outcome: failure?.code ?? "ok",
  reason: failure?.message ?? null,
  bytesIn: null,
  bytesOut: null,
});

/** As much of the store as is needed here. */
interface Rows {
  insertAll(rows: readonly AuditRow[]): void;
  list(filter: AuditFilter): AuditRow[];
  callsOf(user: string, limit: number): AuditRow[];
  find(requestId: string): AuditRow[];
  prune(count: number, since: number): void;
}

export interface AuditOptions {
  rows: Rows;
  scrubber: Scrubber;
  log: Logger;
}

export class Audit {
  readonly #rows: Rows;
  readonly #scrubber: Scrubber;
  readonly #log: Logger;
  #waiting: AuditRow[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sincePruned = PRUNE_EVERY;
  #dropped = 0;
  #toldAt = -Infinity;

  constructor({ rows, scrubber, log }: AuditOptions) {
    this.#rows = rows;
    this.#scrubber = scrubber;
    this.#log = log;
  }

  /** Entries that were lost because the database did not take them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Entries that are not in the database yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Takes note, and takes the entry over; the database has it a moment later. Never throws. */
  add(entry: AuditRow): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(entry);
    this.#flushIn(GATHER_MS);
  }

  /** The newest first, what is not in the database yet among them. May reject with STORE_FAILED. */
  list(filter: AuditFilter): AuditRow[] {
    this.#flush();
    return this.#rows.list(filter);
  }

  /** The user's latest calls of tools, the newest first. May reject with STORE_FAILED. */
  callsOf(user: string, limit: number): AuditRow[] {
    this.#flush();
    return this.#rows.callsOf(user, limit);
  }

  /** All that is known of one request, in order. May reject with STORE_FAILED. */
  find(requestId: string): AuditRow[] {
    this.#flush();
    return this.#rows.find(requestId);
  }

  /** Writes what waits. */
  close(): void {
    clearTimeout(this.#timer);
    this.#flush();
    if (this.#waiting.length > 0)
      this.#log.error({ lost: this.#waiting.length }, "the last audit entries were not written");
  }

  /** A batch a turn: thousands of calls that end together hold up nobody. */
  #flushIn(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#write() && this.#waiting.length > 0) this.#flushIn(0);
    }, ms).unref();
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#write()) continue;
  }

  /** False where the database does not take it. */
  #write(): boolean {
    try {
      const batch = this.#waiting.slice(0, BATCH);
      for (const row of batch) this.#bound(row);
      this.#rows.insertAll(batch);
      this.#waiting = this.#waiting.slice(batch.length);
      this.#sincePruned += batch.length;
      if (this.#sincePruned < PRUNE_EVERY) return true;
      this.#sincePruned = 0;
      this.#rows.prune(MAX_ROWS, Date.now() - MAX_AGE_MS);
      return true;
    } catch (error) {
      // They stay where they are, and the next entry tries again.
      this.#tell(error);
      return false;
    }
  }

  /** What comes from clients has any length and may hold what they should not have sent. */
  #bound(row: AuditRow): void {
    row.what = this.#scrubber.scrub(row.what).slice(0, MAX_WHAT);
    if (row.reason !== null) row.reason = this.#scrubber.scrub(row.reason).slice(0, MAX_REASON);
  }

  #tell(error: unknown): void {
    const now = performance.now();
    if (now - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = now;
    const fields = { err: error, waiting: this.#waiting.length, dropped: this.#dropped };
    this.#log.error(fields, "audit entries cannot be written; they are kept for later");
  }
}
