import type { Connection, Query } from "./connection.ts";

/** What somebody was told, or is to be told. */
export interface NoticeRow {
  /** To whom. */
  channel: string;
  /** Of what kind the trouble is, and whose. */
  kind: string;
  about: string;
  /** Two troubles that are alike but for this are two. */
  event: number;
  /** How often it was tried since it was told last, or given up. */
  tries: number;
  /** When it is to be told next; epoch ms. */
  dueAt: number;
}

/** Rows of `notices`. */
export class NoticeRows {
  readonly #all: Query<NoticeRow>;
  readonly #set: Query<never>;
  readonly #delete: Query<never>;

  constructor(db: Connection) {
    this.#all = db.prepare(
      "SELECT channel, kind, about, event, tries, due_at AS dueAt FROM notices",
    );
    this.#set = db.prepare(
      `INSERT INTO notices (channel, kind, about, event, tries, due_at) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET event = excluded.event, tries = excluded.tries, due_at = excluded.due_at`,
    );
    this.#delete = db.prepare("DELETE FROM notices WHERE channel = ? AND kind = ? AND about = ?");
  }

  all(): NoticeRow[] {
    return this.#all.all();
  }

  /** Takes the place of the one that was there. */
  set({ channel, kind, about, event, tries, dueAt }: NoticeRow): void {
    this.#set.run(channel, kind, about, event, tries, dueAt);
  }

  delete({ channel, kind, about }: Pick<NoticeRow, "channel" | "kind" | "about">): void {
    this.#delete.run(channel, kind, about);
  }
}
