/** Room: store. Rows in one SQLite file, and the lock on the folder around it. In: values, secrets only hashed or sealed. Out: rows; a write that returned is on the disk. Logs nothing, decides nothing. */
import { existsSync, renameSync } from "node:fs";
import path from "node:path";
import { SupervisorError } from "../errors.ts";
import { syncToDisk } from "../platform/atomic-file.ts";
import { AccessRows } from "./access.ts";
import { AccessKeyRows } from "./access-keys.ts";
import { AuditRows } from "./audit.ts";
import { BrowserSessionRows } from "./browser-sessions.ts";
import { Connection } from "./connection.ts";
import { ConnectRows } from "./connects.ts";
import { copyDraft, makeCopy, prepareDraft, removeDrafts } from "./copy.ts";
import { prepareDataDir } from "./data-dir.ts";
import { FeishuTokenRows } from "./feishu-tokens.ts";
import { GrantRows } from "./grants.ts";
import { HistoryRows } from "./history.ts";
import { IdentityRows } from "./identities.ts";
import { InviteRows } from "./invites.ts";
import { lockDataDir } from "./lock.ts";
import { ManifestRows } from "./manifests.ts";
import { MetaRows } from "./meta.ts";
import { NoticeRows } from "./notices.ts";
import { PodRows } from "./pods.ts";
import { SecretRows } from "./secrets.ts";
import { ServerRows } from "./servers.ts";
import { SessionRows } from "./sessions.ts";
import { SealedRows } from "./sealed.ts";
import type { SealedColumn } from "./sealed.ts";
import { TokenRows } from "./tokens.ts";
import { UidRows } from "./uids.ts";
import { UserRows } from "./users.ts";

export type { GrantedRow, GroupRow, MemberRow } from "./access.ts";
export type { AccessKeyRow, OwnedKeyRow } from "./access-keys.ts";
export type { AuditFilter, AuditKind, AuditRow } from "./audit.ts";
export type { BrowserSessionRow } from "./browser-sessions.ts";
export type { PendingConnect } from "./connects.ts";
export { DatabaseCopy, copyDraft } from "./copy.ts";
export type { FeishuTokenPlace } from "./feishu-tokens.ts";
export { RESTORED } from "./grants.ts";
export type { GrantRow, NewGrant } from "./grants.ts";
export type { HistoryRow } from "./history.ts";
export type { IdentityRow } from "./identities.ts";
export type { ManifestPlace, ManifestSelector } from "./manifests.ts";
export type { NoticeRow, NoticeRows } from "./notices.ts";
export type { PodNews, PodRow, PodRows } from "./pods.ts";
export type { RowKey, SealedHead, SealedColumn, SealedRows } from "./sealed.ts";
export type { ServerRow, ServerState } from "./servers.ts";
export type {
  NamedSession,
  SessionHead,
  SessionOwner,
  SessionRow,
  SessionRows,
  SessionSelector,
  SessionTrace,
} from "./sessions.ts";
export type { TokenRow } from "./tokens.ts";
export type { AboutUser, UserOverview, UserRow, UserState } from "./users.ts";

export const DATABASE_FILE = "mcp-supervisor.db";

/** All tables. Every method may reject with STORE_FAILED, and has then changed nothing. */
export class Store {
  readonly users: UserRows;
  readonly access: AccessRows;
  readonly accessKeys: AccessKeyRows;
  readonly browserSessions: BrowserSessionRows;
  readonly identities: IdentityRows;
  readonly tokens: TokenRows;
  readonly grants: GrantRows;
  readonly feishuTokens: FeishuTokenRows;
  readonly secrets: SecretRows;
  readonly connects: ConnectRows;
  readonly invites: InviteRows;
  readonly manifests: ManifestRows;
  readonly sessions: SessionRows;
  readonly meta: MetaRows;
  readonly audit: AuditRows;
  readonly notices: NoticeRows;
  readonly history: HistoryRows;
  readonly uids: UidRows;
  readonly servers: ServerRows;
  readonly pods: PodRows;
  readonly #db: Connection;

  constructor(db: Connection) {
    this.#db = db;
    this.users = new UserRows(db);
    this.access = new AccessRows(db);
    this.accessKeys = new AccessKeyRows(db);
    this.browserSessions = new BrowserSessionRows(db);
    this.identities = new IdentityRows(db);
    this.tokens = new TokenRows(db);
    this.grants = new GrantRows(db);
    this.feishuTokens = new FeishuTokenRows(db);
    this.secrets = new SecretRows(db);
    this.connects = new ConnectRows(db);
    this.invites = new InviteRows(db);
    this.manifests = new ManifestRows(db);
    this.sessions = new SessionRows(db);
    this.meta = new MetaRows(db);
    this.audit = new AuditRows(db, this.users);
    this.notices = new NoticeRows(db);
    this.history = new HistoryRows(db);
    this.uids = new UidRows(db);
    this.servers = new ServerRows(db);
    this.pods = new PodRows(db);
  }

  /** The boxes of a column; which columns there are is for the vault to say. */
  sealed(column: SealedColumn): SealedRows {
    return new SealedRows(this.#db, column);
  }

  /** Writes a copy as `makeCopy` does. */
  async copyTo(file: string): Promise<void> {
    await makeCopy(this.#db.file, file);
  }

  /** As `transaction`, for what may be taken back by a power loss until the next other write; see `Connection.relaxed`. */
  relaxed<T>(work: () => T): T {
    return this.#db.relaxed(work);
  }

  /** All of `work`, or none of it. */
  transaction<T>(work: () => T): T {
    return this.#db.transaction(work);
  }

  /** What is to follow a change; see `Connection.afterwards`. */
  afterwards(tell: () => void): void {
    this.#db.afterwards(tell);
  }

  /** Leaves no row as it was before in the log beside the file; see `Connection.emptyLog`. */
  emptyLog(): boolean {
    return this.#db.emptyLog();
  }

  close(): void {
    this.#db.close();
  }
}

/**
 * Opens the database file, makes it (0600) and its folder (0700) where they are missing, and brings
 * an older one up to date. SCHEMA_TOO_NEW for one of a newer version, CONFIG_INVALID for one that
 * other accounts could read or change, STORE_FAILED for one that cannot be used.
 */
export function openStore(file: string): Store {
  prepareDataDir(path.dirname(file));
  return new Store(new Connection(file));
}

/**
 * Takes the data folder for this process and opens its database; `close` gives both back. Throws as
 * `lockDataDir` and `openStore` do, and has then kept neither.
 */
export function openDataDir(dataDir: string): { store: Store; close(): void } {
  const lock = lockDataDir(dataDir);
  try {
    const store = openHeldDataDir(dataDir);
    return {
      store,
      close: () => {
        store.close();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Opens the database of a folder that this process has taken. Throws as `openStore` does. */
export function openHeldDataDir(dataDir: string): Store {
  const file = path.join(dataDir, DATABASE_FILE);
  removeDrafts(file);
  return openStore(file);
}

/** Whether there is a database in the folder, or what is left of one: SQLite would make both logs part of a new one. */
export function hasDatabase(dataDir: string): boolean {
  return ["", "-wal", "-journal"].some((end) =>
    existsSync(path.join(dataDir, `${DATABASE_FILE}${end}`)),
  );
}

/**
 * Puts a database into a folder that has none: `fill` writes a copy into an empty file, which is brought
 * up to this version, and `change` has the last word. All of it, or nothing is there afterwards.
 * ALREADY_RUNNING where a daemon has the folder.
 */
export async function restoreDataDir(
  dataDir: string,
  fill: (file: string) => Promise<void>,
  change: (store: Store) => void,
): Promise<void> {
  const lock = lockDataDir(dataDir);
  try {
    const file = path.join(dataDir, DATABASE_FILE);
    if (hasDatabase(dataDir))
      throw new SupervisorError("RESTORE_REFUSED", `${dataDir}: there is a database in it`);
    removeDrafts(file);
    const draft = copyDraft(file);
    try {
      await fill(draft);
      prepareDraft(draft, (db) => change(new Store(db)));
      renameSync(draft, file);
      syncToDisk(dataDir);
    } finally {
      removeDrafts(file);
    }
  } finally {
    lock.release();
  }
}
