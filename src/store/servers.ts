import type { Connection, Query } from "./connection.ts";

/** `removing`: an admin has ordered its end, and something of it is left. */
export type ServerState = "enabled" | "disabled" | "removing";

/** A server that the control API made. */
export interface ServerRow {
  id: string;
  slug: string;
  name: string;
  description: string | null;
  state: ServerState;
  /** Its URL came over TCP. */
  isFromNetwork: boolean;
  /** What its entry in a config file would be, sealed. */
  box: Buffer;
  /** Epoch ms. */
  createdAt: number;
}

type Stored = Omit<ServerRow, "isFromNetwork"> & { fromNetwork: number };

const COLUMNS = `id, slug, name, description, state, from_network AS fromNetwork, box,
  created_at AS createdAt`;

/** What is kept of a server under its slug, by all users. */
const OF_SERVER = ["tokens", "grants", "connects", "feishu_tokens", "uids"] as const;

/** Rows of `servers`. */
export class ServerRows {
  readonly #list: Query<Stored>;
  readonly #put: Query<never>;
  readonly #setState: Query<never>;
  readonly #delete: Query<never>;
  readonly #forget: ReadonlyMap<(typeof OF_SERVER)[number], Query<never>>;

  constructor(db: Connection) {
    this.#list = db.prepare(`SELECT ${COLUMNS} FROM servers ORDER BY created_at, id`);
    this.#put = db.prepare(
      `INSERT INTO servers (id, slug, name, description, state, from_network, box, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description,
         state = excluded.state, from_network = excluded.from_network, box = excluded.box`,
    );
    this.#setState = db.prepare("UPDATE servers SET state = ? WHERE id = ?");
    this.#delete = db.prepare("DELETE FROM servers WHERE id = ?");
    this.#forget = new Map(
      OF_SERVER.map((table) => [table, db.prepare(`DELETE FROM ${table} WHERE server = ?`)]),
    );
  }

  /** The oldest first. */
  list(): ServerRow[] {
    return this.#list
      .all()
      .map(({ fromNetwork, ...row }) => ({ ...row, isFromNetwork: fromNetwork === 1 }));
  }

  /** Adds the row, or puts it in the place of the one with its id, whose slug stays. */
  put(row: ServerRow): void {
    const { id, slug, name, description, state, isFromNetwork, box, createdAt } = row;
    this.#put.run(id, slug, name, description, state, isFromNetwork ? 1 : 0, box, createdAt);
  }

  setState(id: string, state: ServerState): void {
    this.#setState.run(state, id);
  }

  delete(id: string): void {
    this.#delete.run(id);
  }

  /** Users' tokens for the server, and what a provider was asked for; where homes are kept, so are the accounts that own them. */
  forgetTokens(slug: string, keepsHomes: boolean): void {
    for (const [table, query] of this.#forget)
      if (!(keepsHomes && table === "uids")) query.run(slug);
  }
}
