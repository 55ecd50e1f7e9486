import type { Connection, Query } from "./connection.ts";

/** What one manifest stands for; `revision` and `key` are digests. */
export interface ManifestPlace {
  user: string;
  server: string;
  /** Of the server's definition. */
  revision: string;
  /** Of all else that it stands for. */
  key: string;
}

/** Some of them: what is left out may be anything. */
export type ManifestSelector =
  | { user: string; server?: string }
  | { server: string; revision?: string; user?: never };

export interface ManifestLimits {
  /** How many of one user and server. */
  perOwner: number;
  /** Of all boxes. */
  totalBytes: number;
}

const OF_USER = "user_id = (SELECT id FROM users WHERE name = ?)";
const ONE = `${OF_USER} AND server = ? AND revision = ? AND key = ?`;

interface Sized {
  bytes: number;
}

/** Rows of `manifests`. What is put there later has a higher id than anything before. */
export class ManifestRows {
  readonly #db: Connection;
  readonly #insert: Query<Sized>;
  readonly #find: Query<{ box: Buffer }>;
  readonly #delete: Query<Sized>;
  readonly #deleteBeyond: Query<Sized>;
  readonly #deleteOldest: Query<Sized>;
  readonly #last: Query<{ id: number }>;
  readonly #revisions: Query<{ server: string; revision: string }>;
  readonly #sum: Query<Sized>;
  readonly #some: Record<"user" | "server" | "both" | "revision", Query<Sized>>;
  /** Of all boxes; what went with its user's row is not taken off before it matters. */
  #bytes: number;

  constructor(db: Connection) {
    this.#db = db;
    this.#insert = db.prepare(
      `INSERT INTO manifests (user_id, server, revision, key, bytes, box)
       SELECT id, ?, ?, ?, ?, ? FROM users WHERE name = ? AND state <> 'removing' RETURNING bytes`,
    );
    this.#find = db.prepare(`SELECT box FROM manifests WHERE ${ONE}`);
    this.#delete = db.prepare(`DELETE FROM manifests WHERE ${ONE} RETURNING bytes`);
    const deleteFrom = (ids: string): Query<Sized> =>
      db.prepare(`DELETE FROM manifests WHERE id IN (SELECT ${ids}) RETURNING bytes`);
    this.#deleteBeyond = deleteFrom(
      `id FROM manifests WHERE ${OF_USER} AND server = ? ORDER BY id DESC LIMIT -1 OFFSET ?`,
    );
    this.#deleteOldest = deleteFrom("min(id) FROM manifests");
    const some = (which: string): Query<Sized> =>
      deleteFrom(`id FROM manifests WHERE ${which} AND id <= ? LIMIT ?`);
    this.#some = {
      user: some(OF_USER),
      server: some("server = ?"),
      both: some(`${OF_USER} AND server = ?`),
      revision: some("server = ? AND revision = ?"),
    };
    this.#last = db.prepare("SELECT coalesce(max(id), 0) AS id FROM manifests");
    this.#revisions = db.prepare("SELECT DISTINCT server, revision FROM manifests");
    this.#sum = db.prepare("SELECT coalesce(sum(bytes), 0) AS bytes FROM manifests");
    this.#bytes = this.#sum.get()!.bytes;
  }

  /**
   * Takes the place of the one that was there, and lets the oldest go beyond the limits. False for a
   * user who is not there. It outlives the process, but not always the power.
   */
  put(place: ManifestPlace, box: Buffer, { perOwner, totalBytes }: ManifestLimits): boolean {
    const { user, server, revision, key } = place;
    return this.#change(() => {
      this.#gone(this.#delete.all(user, server, revision, key));
      const added = this.#insert.all(server, revision, key, box.length, box, user);
      for (const { bytes } of added) this.#bytes += bytes;
      this.#gone(this.#deleteBeyond.all(user, server, perOwner));
      if (this.#bytes > totalBytes) this.#bytes = this.#sum.get()!.bytes;
      while (this.#bytes > totalBytes) this.#gone(this.#deleteOldest.all());
      return added.length > 0;
    });
  }

  find({ user, server, revision, key }: ManifestPlace): Buffer | undefined {
    return this.#find.get(user, server, revision, key)?.box;
  }

  delete({ user, server, revision, key }: ManifestPlace): void {
    this.#change(() => this.#gone(this.#delete.all(user, server, revision, key)));
  }

  /** The id of the one that was put there last. */
  last(): number {
    return this.#last.get()!.id;
  }

  /** Deletes `most` at most of those up to that id; how many it were. */
  deleteSome(which: ManifestSelector, upTo: number, most: number): number {
    return this.#change(() => this.#gone(this.#deleteSome(which, upTo, most)));
  }

  /** The definitions that there are manifests of. */
  revisions(): { server: string; revision: string }[] {
    return this.#revisions.all();
  }

  #deleteSome(which: ManifestSelector, upTo: number, most: number): Sized[] {
    const { user, both, server, revision } = this.#some;
    if (which.user === undefined)
      return which.revision === undefined
        ? server.all(which.server, upTo, most)
        : revision.all(which.server, which.revision, upTo, most);
    return which.server === undefined
      ? user.all(which.user, upTo, most)
      : both.all(which.user, which.server, upTo, most);
  }

  #change<T>(work: () => T): T {
    try {
      return this.#db.relaxed(work);
    } catch (error) {
      // It was taken back; how many bytes are left is looked at anew.
      this.#bytes = Infinity;
      throw error;
    }
  }

  #gone(rows: readonly Sized[]): number {
    for (const { bytes } of rows) this.#bytes -= bytes;
    return rows.length;
  }
}
