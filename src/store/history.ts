import type { Connection, Query } from "./connection.ts";

/** The daemon in one minute. */
export interface HistoryRow {
  /** Epoch ms, of a whole minute. */
  at: number;
  /** Instances in each state at its end. */
  stopped: number;
  starting: number;
  ready: number;
  draining: number;
  backingOff: number;
  parked: number;
  memoryBytes: number;
  sessions: number;
  /** Of the whole minute. */
  calls: number;
  errors: number;
  /** Null where there was no call. */
  p50Ms: number | null;
  p99Ms: number | null;
}

const INTEGERS = [
  ["stopped", "stopped"],
  ["starting", "starting"],
  ["ready", "ready"],
  ["draining", "draining"],
  ["backing_off", "backingOff"],
  ["parked", "parked"],
  ["memory_bytes", "memoryBytes"],
  ["sessions", "sessions"],
] as const;
const SHOWN = INTEGERS.map(([column, name]) => `max(${column}) AS ${name}`).join(", ");

/** Rows of `history`: one a minute. */
export class HistoryRows {
  readonly #db: Connection;
  readonly #set: Query<never>;
  readonly #prune: Query<never>;
  readonly #list: Query<HistoryRow>;

  constructor(db: Connection) {
    this.#db = db;
    const columns = INTEGERS.map(([column]) => column).join(", ");
    this.#set = db.prepare(
      `INSERT INTO history (at, ${columns}, calls, errors, p50_ms, p99_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (at) DO UPDATE SET calls = calls + excluded.calls, errors = errors + excluded.errors`,
    );
    this.#prune = db.prepare("DELETE FROM history WHERE at < ? OR at > ?");
    this.#list = db.prepare(
      `SELECT at / CAST(? AS INTEGER) * CAST(? AS INTEGER) AS at, ${SHOWN}, sum(calls) AS calls, sum(errors) AS errors,
         sum(p50_ms * calls) / sum(calls) AS p50Ms, max(p99_ms) AS p99Ms
       FROM history WHERE at >= ? GROUP BY 1 ORDER BY 1`,
    );
  }

  /**
   * Adds the row of a minute and forgets what is older than `oldest`, or later than the row: a clock
   * that was set back leaves no more rows than there are minutes. A power failure may take the last ones.
   */
  add(row: HistoryRow, oldest: number): void {
    this.#db.relaxed(() => {
      const { at, stopped, starting, ready, draining, backingOff, parked } = row;
      const { memoryBytes, sessions, calls, errors, p50Ms, p99Ms } = row;
      const states = [stopped, starting, ready, draining, backingOff, parked];
      this.#set.run(at, ...states, memoryBytes, sessions, calls, errors, p50Ms, p99Ms);
      this.#prune.run(oldest, at);
    });
  }

  /**
   * From `since` on, the oldest first, each row for `stepMs`: the most of what is counted at an end of
   * a minute and of p99, the sum of calls, and the mean of p50.
   */
  list(since: number, stepMs: number): HistoryRow[] {
    return this.#list.all(stepMs, stepMs, since);
  }
}
