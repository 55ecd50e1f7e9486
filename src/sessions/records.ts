import { setImmediate as nextTurn } from "node:timers/promises";
import { BY_KEY, isSamePrincipal } from "../auth/principal.ts";
import { shapeOf } from "../config/compare.ts";
import type { ServerDef } from "../config/config.ts";
import { unawaited } from "../containment.ts";
import type { SupervisorError } from "../errors.ts";
import type { NamedSession, SessionHead, SessionRow } from "../store/store.ts";
import { RecordWriter } from "./record-writer.ts";
import type { RecordWriterOptions } from "./record-writer.ts";
import type { WrittenMemory } from "./session-memory.ts";
import type { Session } from "./session.ts";
import type { Whose } from "./session-options.ts";
import {
  SessionRecord,
  agentOf,
  hashOf,
  isOf,
  ownerOf,
  placeOf,
  selectorOf,
} from "./session-record.ts";
import type { FrontKind, Reader, Which } from "./session-record.ts";

/** Deleted in one turn; SQLite overwrites what it deletes. */
const DELETED_AT_ONCE = 50;
/** No id of ours is longer. */
const MAX_ID = 128;

/** A session that is in the database alone. */
export interface StoredSession extends SessionHead {
  readonly front: FrontKind;
  readonly memory: WrittenMemory;
}

/** What a session knew with which another one goes on. */
export interface Recalled {
  readonly memory: WrittenMemory;
  /** Its id, where it is in memory still. */
  readonly id: string | undefined;
}

export interface RecordsOptions extends RecordWriterOptions {
  readonly ttlMs: number;
  readonly limits: { readonly sessionsPerUser: number };
  /** The session goes, because its user has too many that nobody is in. */
  readonly onSurplus: (session: Session) => void;
}

export interface RecordWish {
  readonly front: FrontKind;
  readonly server: ServerDef;
  /** What the client calls itself, where it is to be known by that. */
  readonly agent?: string | undefined;
}

/**
 * What is written down of the sessions that there are, so that they outlive the daemon: sealed, at
 * once when `initialize` is about to be answered, within a second of what changes later, and without
 * waiting for the disk. None is read before its client comes back.
 *
 * A session goes on without a row: nothing here throws, and what the database does not take is logged,
 * told by `failure` and tried again.
 */
export class Records {
  readonly #options: RecordsOptions;
  /** By the hash of the id. */
  readonly #live = new Map<string, SessionRecord>();
  readonly #writer: RecordWriter;
  isResting = false;

  constructor(options: RecordsOptions) {
    this.#options = options;
    this.#writer = new RecordWriter(options);
  }

  /** Why sessions would not outlive the daemon now; undefined where they would. */
  get failure(): SupervisorError | undefined {
    return this.#writer.failure;
  }

  /** Those that are in memory. */
  get live(): Iterable<SessionRecord> {
    return this.#live.values();
  }

  /** At the start: nobody is there, and what nobody may go on with goes. `serverOf`: which servers there are. */
  open(serverOf: (name: string) => ServerDef | undefined): void {
    const isThere = (name: string, shape: string): boolean => {
      const def = serverOf(name);
      return def !== undefined && !def.stateful && shapeOf(def) === shape;
    };
    const now = Date.now();
    this.#writer.write((rows) => {
      rows.deleteEnded(BY_KEY, now);
      rows.retain(isThere);
      rows.leave(now);
    });
  }

  /** From here on the session is written down, once it has begun. */
  add(session: Session, reader: Reader, { front, server, agent }: RecordWish): SessionRecord {
    const options = {
      session,
      reader,
      front,
      shape: shapeOf(server),
      agent: front === "sse" ? agentOf(agent) : "",
      mayComeBack: !server.stateful,
    };
    const record = new SessionRecord(this, options);
    this.#live.set(record.hash, record);
    session.memory.keeper = record;
    return record;
  }

  /** The session that was added is the one that was found here. */
  readd(record: SessionRecord, { createdAt }: StoredSession): void {
    record.isStored = true;
    record.createdAt = createdAt;
  }

  /** The session of that id that is in the database alone, where this client may go on with it. */
  find(id: string, whose: Whose): StoredSession | undefined {
    if (id.length > MAX_ID) return undefined;
    const of = hashOf(id);
    // Another one's, where it is here and was not found.
    if (this.#live.has(of)) return undefined;
    const row = this.#writer.read((rows) => rows.find(of));
    return row && this.#isOf(row, whose) ? this.#opened(row) : undefined;
  }

  /** The session that a client had over HTTP with SSE, which comes back without its id; see `SessionTrace`. */
  recall(whose: Whose, agent: string | undefined): Recalled | undefined {
    const { holder, instance, server, settings } = whose;
    if (server.stateful) return undefined;
    const trace = {
      ...ownerOf(holder),
      server: instance.ref.server,
      shape: shapeOf(server),
      front: "sse",
      agent: agentOf(agent),
      mark: settings?.mark ?? null,
    };
    // It may have left within this second.
    const unwritten = [...this.#writer.unwritten].filter(
      ({ options, session }) => options.front === "sse" && isSamePrincipal(session.holder, holder),
    );
    this.#writer.writeNow(unwritten);
    const row = this.#writer.read((rows) => rows.lastLeft(trace, this.#oldest));
    const stored = row && this.#opened(row);
    return stored && { memory: stored.memory, id: this.#live.get(stored.hash)?.session.id };
  }

  /** All of a user's that are in the database alone. */
  list(user: string): StoredSession[] {
    const rows = this.#writer.read((sessions) => sessions.list(user)) ?? [];
    const alone = rows.filter((row) => row.usedAt >= this.#oldest && !this.#live.has(row.hash));
    return alone.flatMap((row) => this.#opened(row) ?? []);
  }

  /** Those whose hash begins with these hex digits, in memory or not; `most` at most of those in the database. */
  startingWith(digits: string, most: number): (NamedSession & { record?: SessionRecord })[] {
    const named = new Map<string, NamedSession & { record?: SessionRecord }>();
    for (const row of this.#writer.read((rows) => rows.startingWith(digits, most)) ?? [])
      named.set(row.hash, row);
    for (const record of this.#live.values()) {
      const { hash, user, server } = record.head;
      if (hash.startsWith(digits)) named.set(hash, { hash, user, server, record });
    }
    return [...named.values()];
  }

  begin(record: SessionRecord): void {
    if (record.isStored) return record.changed();
    if (record.isOver || !record.options.mayComeBack) return;
    const { user } = record.session.holder;
    this.#trim(user, record);
    this.#writer.writeNow([record]);
  }

  note(record: SessionRecord): void {
    if (record.isOver || !record.options.mayComeBack) return;
    if (!record.isStored && record.session.memory.initialize === undefined) return;
    this.#writer.add(record);
  }

  /** The session is no more, and does not come back. */
  end(record: SessionRecord): void {
    if (record.isOver) return;
    record.isOver = true;
    this.#writer.drop(record);
    this.#live.delete(record.hash);
    if (record.isStored) this.#writer.write((rows) => rows.delete(record.hash));
  }

  /** Ends those that are in the database alone, and keeps others from coming back. */
  endAll(which: Which): void {
    for (const record of [...this.#live.values(), ...this.#writer.unwritten])
      if (isOf(record.session, which)) this.#forget(record);
    this.#writer.write((rows) => rows.deleteOf(selectorOf(which)));
  }

  /** As `endAll`, of those that users have with this server who are out. */
  endOf(server: string, isOut: (user: string) => boolean): void {
    const users = this.#writer.read((rows) => rows.usersOf(server)) ?? [];
    for (const user of users) if (isOut(user)) this.endAll({ user, server });
  }

  /** Ends the one of this hash, which is in the database alone. */
  endStored(of: string): void {
    this.#writer.write((rows) => rows.delete(of));
  }

  /** Writes which were used, and deletes those that nobody has used for their time to live, or that a user has too many of. */
  sweep(): void {
    for (const record of this.#live.values()) {
      const { lastUsedAt, inFlight } = record.session;
      if (inFlight > 0 || record.writtenUse !== lastUsedAt) this.note(record);
    }
    unawaited("session", () => {}, this.#sweep());
  }

  /** From here on sessions end because the daemon does, and come back. */
  rest(): void {
    this.isResting = true;
  }

  close(): void {
    this.rest();
    this.#writer.close();
    this.#live.clear();
  }

  get #oldest(): number {
    return Date.now() - this.#options.ttlMs;
  }

  #isOf(row: SessionRow, { holder, instance, server, settings }: Whose): boolean {
    const { user, issuer, credential } = ownerOf(holder);
    const isOwners = row.user === user && row.issuer === issuer && row.credential === credential;
    const isServers = row.server === instance.ref.server && row.shape === shapeOf(server);
    if (!isOwners || !isServers || server.stateful) return false;
    return row.mark === (settings?.mark ?? null) && row.usedAt >= this.#oldest;
  }

  #opened(row: SessionRow): StoredSession | undefined {
    const { box, ...head } = row;
    const text = this.#writer.read(() => this.#options.vault.open(box, placeOf(head)));
    if (text === undefined) return undefined;
    return { ...head, front: head.front as FrontKind, memory: JSON.parse(text) as WrittenMemory };
  }

  #forget(record: SessionRecord): void {
    record.isOver = true;
    this.#writer.drop(record);
    this.#live.delete(record.hash);
  }

  /** Makes room for one more of the user's: the one that was unused for the longest goes. */
  #trim(user: string, next?: SessionRecord): void {
    const { sessionsPerUser } = this.#options.limits;
    const most = sessionsPerUser - (next === undefined ? 0 : 1);
    const written = this.#writer.read((rows) => rows.count(user)) ?? 0;
    if (written <= most || written - this.#attachedOf(user) <= most) return;
    const left = (this.#writer.read((rows) => rows.ages(user)) ?? []).flatMap(
      ({ hash: of, usedAt }) => {
        const record = this.#live.get(of);
        if (record?.isAttached === true) return [];
        return [{ of, record, usedAt: record?.usedAt ?? usedAt }];
      },
    );
    left.sort((one, other) => one.usedAt - other.usedAt);
    for (const { of, record } of left.slice(0, Math.max(0, left.length - most))) {
      if (record === undefined) this.endStored(of);
      else {
        this.end(record);
        this.#options.onSurplus(record.session);
      }
    }
  }

  /** How many of a user's that are written down are in use: a client may have thousands, whose rows nobody wants to read for each that comes. */
  #attachedOf(user: string): number {
    let count = 0;
    for (const { session, isStored, isAttached } of this.#live.values())
      if (isStored && session.holder.user === user && isAttached) count += 1;
    return count;
  }

  async #sweep(): Promise<void> {
    // First, or what was used since would go with the rest.
    await this.#writer.writeAll();
    const { sessionsPerUser } = this.#options.limits;
    for (const user of this.#writer.read((rows) => rows.crowded(sessionsPerUser)) ?? [])
      this.#trim(user);
    let deleted = DELETED_AT_ONCE;
    while (deleted === DELETED_AT_ONCE && !this.isResting) {
      deleted = 0;
      this.#writer.write((rows) => (deleted = rows.deleteUnused(this.#oldest, DELETED_AT_ONCE)));
      await nextTurn();
    }
  }
}
