import type { Connection, Query } from "./connection.ts";

/** A pod that is a generation's, or was to become one. */
export interface PodRow {
  /** Of the Pod. */
  name: string;
  /** By name, as `server`: a pod may outlive the row of its user. */
  user: string;
  server: string;
  variant: string;
  generation: number;
  /** What the cluster calls it; null until it has said so: a Pod of that name may be there, or never come to be. */
  uid: string | null;
  /** Its address; null until it has one. */
  address: string | null;
  /** Where it runs; null until that is known. */
  node: string | null;
  /** Of the daemon that started it, or took it over last. */
  epoch: number;
  /** Keyed digests of what it was made by, and of the token that it got; null where it got none. */
  recipe: string;
  token: string | null;
  /** The number of the CA that it was born under. */
  authority: number;
  /** When its shim ends all, as its Pod says: a config may say otherwise by now. */
  orphanTimeoutMs: number;
  /** Epoch ms. */
  bornAt: number;
}

/** What becomes known of one later. */
export type PodNews = Partial<Pick<PodRow, "uid" | "address" | "node" | "epoch" | "token">>;

const COLUMNS = `name, user, server, variant, generation, uid, address, node, epoch, recipe, token,
  authority, orphan_timeout_ms AS orphanTimeoutMs, born_at AS bornAt`;

/**
 * Rows of `pods`. One is written before its Pod is asked for, and goes when the Pod and all that ran in it
 * are known to be gone: what has no row is nobody's, and what has one may live.
 */
export class PodRows {
  readonly #insert: Query<never>;
  readonly #find: Query<PodRow>;
  readonly #list: Query<PodRow>;
  readonly #update: Query<never>;
  readonly #delete: Query<never>;
  readonly #authorities: Query<{ authority: number }>;

  constructor(db: Connection) {
    this.#insert = db.prepare(
      `INSERT INTO pods (name, user, server, variant, generation, uid, address, node, epoch, recipe,
         token, authority, orphan_timeout_ms, born_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#find = db.prepare(`SELECT ${COLUMNS} FROM pods WHERE name = ?`);
    this.#list = db.prepare(`SELECT ${COLUMNS} FROM pods ORDER BY born_at, name`);
    this.#update = db.prepare(
      "UPDATE pods SET uid = ?, address = ?, node = ?, epoch = ?, token = ? WHERE name = ?",
    );
    this.#delete = db.prepare("DELETE FROM pods WHERE name = ?");
    this.#authorities = db.prepare("SELECT DISTINCT authority FROM pods");
  }

  /** STORE_FAILED where there is one of that name: no two pods have one. */
  insert(row: PodRow): void {
    const { name, user, server, variant, generation, uid, address, node, epoch } = row;
    const { recipe, token, authority, orphanTimeoutMs, bornAt } = row;
    const whose = [name, user, server, variant, generation] as const;
    const known = [uid, address, node, epoch, recipe, token] as const;
    this.#insert.run(...whose, ...known, authority, orphanTimeoutMs, bornAt);
  }

  find(name: string): PodRow | undefined {
    return this.#find.get(name);
  }

  /** All, the oldest first. */
  list(): PodRow[] {
    return this.#list.all();
  }

  /** What is known of it now; nothing where there is no row. */
  learn(name: string, news: PodNews): void {
    const row = this.find(name);
    if (row === undefined) return;
    const { uid, address, node, epoch, token } = { ...row, ...news };
    this.#update.run(uid, address, node, epoch, token, name);
  }

  delete(name: string): void {
    this.#delete.run(name);
  }

  /** The CAs that pods were born under. */
  authorities(): Set<number> {
    return new Set(this.#authorities.all().map(({ authority }) => authority));
  }
}
