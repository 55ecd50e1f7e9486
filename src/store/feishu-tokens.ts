import type { Connection, Query } from "./connection.ts";

/** What one row stands for. */
export interface FeishuTokenPlace {
  user: string;
  server: string;
  /** The app that it was got with. */
  app: string;
  /** A keyed digest of all else that it was got with. */
  key: string;
}

const OF_USER = "user_id = (SELECT id FROM users WHERE name = ?)";

/** Rows of `feishu_tokens`: what Feishu gave that may be given out again. Times are epoch ms. */
export class FeishuTokenRows {
  readonly #db: Connection;
  readonly #set: Query<never>;
  readonly #find: Query<{ box: Buffer }>;
  readonly #deleteBeyond: Query<never>;
  readonly #deleteOver: Query<never>;
  readonly #servers: Query<{ server: string }>;
  readonly #deleteOf: Query<never>;

  constructor(db: Connection) {
    this.#db = db;
    this.#set = db.prepare(
      `INSERT INTO feishu_tokens (user_id, server, app, key, box, until)
       SELECT id, ?, ?, ?, ?, ? FROM users WHERE name = ? AND state <> 'removing'
       ON CONFLICT DO UPDATE SET box = excluded.box, until = excluded.until`,
    );
    this.#find = db.prepare(
      `SELECT box FROM feishu_tokens WHERE ${OF_USER} AND server = ? AND app = ? AND key = ? AND until > ?`,
    );
    this.#deleteBeyond = db.prepare(
      `DELETE FROM feishu_tokens WHERE (user_id, server, app, key) IN (
         SELECT user_id, server, app, key FROM feishu_tokens WHERE ${OF_USER} AND server = ?
         ORDER BY until DESC LIMIT -1 OFFSET ?)`,
    );
    this.#deleteOver = db.prepare("DELETE FROM feishu_tokens WHERE until <= ?");
    this.#servers = db.prepare("SELECT DISTINCT server FROM feishu_tokens");
    this.#deleteOf = db.prepare("DELETE FROM feishu_tokens WHERE server = ?");
  }

  /** Takes the place of the one that was there. What is over goes, and of one user and server what would be over first, beyond `most`. */
  put(
    { user, server, app, key }: FeishuTokenPlace,
    box: Buffer,
    until: number,
    most: number,
  ): void {
    this.#db.transaction(() => {
      this.#deleteOver.run(Date.now());
      this.#set.run(server, app, key, box, until, user);
      this.#deleteBeyond.run(user, server, most);
    });
  }

  /** Undefined where there is none, or it is over. */
  find({ user, server, app, key }: FeishuTokenPlace): Buffer | undefined {
    return this.#find.get(user, server, app, key, Date.now())?.box;
  }

  /** Deletes those of all other servers. */
  retain(servers: ReadonlySet<string>): void {
    for (const { server } of this.#servers.all())
      if (!servers.has(server)) this.#deleteOf.run(server);
  }
}
