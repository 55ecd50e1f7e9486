import type { Connection, Query } from "./connection.ts";
import type { UserRows } from "./users.ts";

/** What was done: a call of a tool, an order of an admin, or a request that was refused. */
export type AuditKind = "call" | "admin" | "refusal";

export interface AuditRow {
  /** Epoch ms of the end. */
  at: number;
  kind: AuditKind;
  user: string | null;
  server: string | null;
  requestId: string;
  /** The label of the access key, or which admin. */
  who: string | null;
  /** The tool, the order, or the request. */
  what: string;
  /** `ok`, or in one word what else became of it. */
  outcome: string;
  /** A sentence, where there is one. */
  reason: string | null;
  durationMs: number | null;
  bytesIn: number | null;
  bytesOut: number | null;
}

export interface AuditFilter {
  user?: string | undefined;
  outcome?: string | undefined;
  /** Epoch ms. */
  since?: number | undefined;
  limit: number;
}

const COLUMNS = `at, kind, user, server, request_id AS requestId, who, what, outcome, reason,
  duration_ms AS durationMs, bytes_in AS bytesIn, bytes_out AS bytesOut`;

type Value = string | number | null;

/** Of so many entries a user sees what is their own: reading them takes a few milliseconds, which anybody may ask for. */
const RECENT = 20_000;

/** Rows in one statement: a call of SQLite for each would cost half as much again. */
const TOGETHER = 25;

function insertOf(rows: number): string {
  const values = Array.from({ length: rows }, () => "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  return `INSERT INTO audit (at, kind, user, server, request_id, who, what, outcome, reason,
    duration_ms, bytes_in, bytes_out) VALUES ${values.join(", ")}`;
}

function pushValues(values: Value[], row: AuditRow): void {
  values.push(
    row.at,
    row.kind,
    row.user,
    row.server,
    row.requestId,
    row.who,
    row.what,
    row.outcome,
    row.reason,
    row.durationMs,
    row.bytesIn,
    row.bytesOut,
  );
}

/** When each user of these rows has last called a tool. */
function lastCalls(rows: readonly AuditRow[]): Map<string, number> {
  const last = new Map<string, number>();
  for (const { kind, user, at } of rows)
    if (kind === "call" && user !== null) last.set(user, Math.max(at, last.get(user) ?? 0));
  return last;
}

/** Rows of `audit`. There is no index: a bounded table is read from its end in no time, and each index would cost every call. */
export class AuditRows {
  readonly #db: Connection;
  readonly #users: Pick<UserRows, "seen">;
  readonly #insert: Query<never>;
  readonly #insertMany: Query<never>;
  readonly #list: Query<AuditRow>;
  readonly #calls: Query<AuditRow>;
  readonly #find: Query<AuditRow>;
  readonly #last: Query<{ id: number | null }>;
  readonly #deleteTo: Query<never>;
  readonly #firstSince: Query<{ id: number }>;

  constructor(db: Connection, users: Pick<UserRows, "seen">) {
    this.#db = db;
    this.#users = users;
    this.#insert = db.prepare(insertOf(1));
    this.#insertMany = db.prepare(insertOf(TOGETHER));
    this.#list = db.prepare(
      `SELECT ${COLUMNS} FROM audit WHERE (? IS NULL OR user = ?) AND at >= ?
       AND (? IS NULL OR outcome = ?)
       ORDER BY id DESC LIMIT ?`,
    );
    this.#calls = db.prepare(
      `SELECT ${COLUMNS} FROM audit WHERE id > (SELECT max(id) FROM audit) - ${RECENT}
       AND user = ? AND kind = 'call' ORDER BY id DESC LIMIT ?`,
    );
    this.#find = db.prepare(`SELECT ${COLUMNS} FROM audit WHERE request_id = ? ORDER BY id`);
    this.#last = db.prepare("SELECT max(id) AS id FROM audit");
    this.#deleteTo = db.prepare("DELETE FROM audit WHERE id <= ?");
    this.#firstSince = db.prepare("SELECT id FROM audit WHERE at >= ? ORDER BY id LIMIT 1");
  }

  /**
   * All of them, or none, and with them when their users were last seen. They survive the end of the daemon, however it comes; the last moments
   * before a power failure may be lost, because a wait for the disk would be everybody's.
   */
  insertAll(rows: readonly AuditRow[]): void {
    this.#db.relaxed(() => {
      for (let from = 0; from < rows.length;) {
        const count = rows.length - from < TOGETHER ? 1 : TOGETHER;
        const values: Value[] = [];
        for (let at = from; at < from + count; at += 1) pushValues(values, rows[at]!);
        (count === 1 ? this.#insert : this.#insertMany).run(...values);
        from += count;
      }
      for (const [user, at] of lastCalls(rows)) this.#users.seen(user, at);
    });
  }

  /** The newest first. */
  list({ user, since, outcome, limit }: AuditFilter): AuditRow[] {
    const who = user ?? null;
    const what = outcome ?? null;
    return this.#list.all(who, who, since ?? 0, what, what, limit);
  }

  /** The user's calls of tools among the last entries, the newest first. */
  callsOf(user: string, limit: number): AuditRow[] {
    return this.#calls.all(user, limit);
  }

  /** All that is known of one request, in order. */
  find(requestId: string): AuditRow[] {
    return this.#find.all(requestId);
  }

  /** Keeps the newest `count` rows, and of these those from `since` (epoch ms) on. */
  prune(count: number, since: number): void {
    const last = this.#last.get()?.id ?? 0;
    // Ids are in the order of time, so this looks at no more rows than there are old ones.
    const oldest = this.#firstSince.get(since)?.id ?? last + 1;
    const end = Math.max(last - count, oldest - 1);
    this.#db.relaxed(() => this.#deleteTo.run(end));
  }
}
