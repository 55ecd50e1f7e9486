/** Room: auth. Who may come in. In: names, access keys, JWTs. Out: users, principals, and an event when one of them ends. Never sees a token, a child or a request. */
import { EventEmitter } from "node:events";
import { requireNewSlug, SLUG } from "../platform/slug.ts";
import { SupervisorError } from "../errors.ts";
import type {
  AboutUser,
  AccessKeyRow,
  IdentityRow,
  OwnedKeyRow,
  Store,
  UserOverview,
  UserRow,
  UserState,
} from "../store/store.ts";
import { Access } from "./access.ts";
import { digestOf, isAccessKey, newAccessKey, newKeyId, shownPrefix } from "./access-key.ts";
import { Jwts } from "./jwt/jwts.ts";
import type { IssuedJwt, JwtWish } from "./jwt/jwts.ts";
import type { TrustedIssuer } from "./jwt/trusted-issuer.ts";
import { KeyExpiry } from "./expiry.ts";
import { BrowserSessions } from "./browser-sessions.ts";
import { Invites } from "./invites.ts";
import { KeyCache } from "./key-cache.ts";
import { BY_KEY } from "./principal.ts";
import type { Credential, Principal } from "./principal.ts";

export type { Granted, Group } from "./access.ts";
export type { IssuedJwt } from "./jwt/jwts.ts";
export type { BrowserCaller, BrowserSession } from "./browser-sessions.ts";
export type { Credential, Principal } from "./principal.ts";

export type User = Omit<UserRow, "id" | "applied">;

/** An access key as it can be shown: `prefix` is its beginning. */
export type AccessKey = Pick<AccessKeyRow, "id" | "prefix" | "label" | "createdAt" | "expiresAt">;

/** An access key with whose it is. */
export type OwnedKey = AccessKey & { user: string };

/** Emitted when the change is on the disk and in force, before the call that made it returns. */
export interface RegistryEvents {
  /** The key or JWT was revoked, or has been in use and its time has come. */
  "credential-ended": [Credential];
  /** The user was disabled, or the removal has begun. */
  "user-ended": [{ user: string }];
  /** JWTs of the user were revoked: whoever had one has lost it, or it was never theirs. */
  "jwts-revoked": [{ user: string }];
  /** A browser in which the user had signed in is out, by itself or with its key or user. */
  "browser-session-ended": [{ id: string }];
  /** A user was made for somebody whom that issuer of JWTs vouches for. */
  "user-made": [{ user: string; issuer: string }];
}

export interface RegistryOptions {
  /** Whether something of a former user of that name is left, which a user who makes themself must not get. */
  isTaken?: (name: string) => boolean;
}

/** Users and access keys. Every change may reject with STORE_FAILED, and has then changed nothing. */
export class Registry {
  readonly events = new EventEmitter<RegistryEvents>();
  readonly invites: Invites;
  readonly access: Access;
  readonly browserSessions: BrowserSessions;
  readonly #store: Store;
  readonly #keys: KeyCache;
  readonly #expiry: KeyExpiry;
  readonly #jwts: Jwts;

  constructor(store: Store, { isTaken = () => false }: RegistryOptions = {}) {
    this.#store = store;
    this.access = new Access(store);
    this.invites = new Invites(store, (user, about) => this.issueKey(user, about));
    this.browserSessions = new BrowserSessions(store, (id) =>
      store.afterwards(() => this.events.emit("browser-session-ended", { id })),
    );
    this.#expiry = new KeyExpiry((principal) => {
      this.#jwts.expired(principal);
      this.#end(principal);
    });
    this.#keys = new KeyCache(store.accessKeys, (principal, expiresAt) =>
      this.#expiry.watch(principal, expiresAt),
    );
    this.#jwts = new Jwts({
      store,
      cache: this.#keys,
      isTaken,
      onEnded: (principal) => {
        this.#expiry.forget(principal.credentialId);
        this.#end(principal);
      },
      onRevoked: (user) => this.events.emit("jwts-revoked", { user }),
      onMade: (user, issuer) => this.events.emit("user-made", { user, issuer }),
    });
  }

  /**
   * A new, enabled user. REQUEST_INVALID for what is no slug, with one that would do, USER_EXISTS for
   * a name in use.
   */
  addUser(name: string, about?: AboutUser): User {
    requireNewSlug("user", name);
    const found = this.#store.users.find(name);
    if (found !== undefined)
      throw new SupervisorError(
        "USER_EXISTS",
        found.state === "removing"
          ? "a user of that name is still being removed"
          : "there is a user of that name already",
      );
    return shown(this.#store.users.insert(name, Date.now(), about));
  }

  findUser(name: string): User | undefined {
    const row = this.#findRow(name);
    return row === undefined ? undefined : shown(row);
  }

  /** The user, in whatever state; else USER_NOT_FOUND. */
  requireUser(name: string): User {
    return shown(this.#requireRow(name));
  }

  /** In order of their names. */
  listUsers(): User[] {
    return this.#store.users.list().map(shown);
  }

  /** As `listUsers`, with what is known of each. */
  overview(): UserOverview[] {
    return this.#store.users.overview();
  }

  countUsers(): number {
    return this.#store.users.count();
  }

  /** From here on no key of the user opens anything. USER_NOT_FOUND also for a user who is being removed. */
  disableUser(name: string): User {
    return this.#switch(name, "disabled");
  }

  /** The keys that were not revoked open again. USER_NOT_FOUND also for a user who is being removed. */
  enableUser(name: string): User {
    return this.#switch(name, "enabled");
  }

  /**
   * Deletes the user's keys and marks the row, so that a removal that is cut short can be found and
   * taken up again with this same call. USER_NOT_FOUND.
   */
  beginRemoval(name: string): User {
    const row = this.#requireRow(name);
    this.browserSessions.endAll(name);
    this.#store.transaction(() => {
      this.#jwts.reserve(row);
      this.#store.accessKeys.deleteAll(row.id);
      this.#store.users.setState(row.id, "removing");
    });
    this.#endUser(name);
    return shown({ ...row, state: "removing" });
  }

  /** Deletes the row and what still hangs on it; the name is free then. USER_NOT_FOUND unless a removal has begun. */
  finishRemoval(name: string): void {
    const row = this.#requireRow(name);
    if (row.state !== "removing")
      throw new SupervisorError("USER_NOT_FOUND", "no such user is being removed");
    this.#store.users.delete(row.id);
  }

  /** A new access key. `secret` is in no other place: what is kept is its hash. USER_NOT_FOUND as in `disableUser`. */
  issueKey(
    name: string,
    { label = null, expiresAt = null }: { label?: string | null; expiresAt?: number | null } = {},
    secret = newAccessKey(),
  ): { id: string; secret: string; label: string | null; expiresAt: number | null } {
    const { id: userId } = this.#requireStaying(name);
    const id = newKeyId();
    const prefix = shownPrefix(secret);
    const hash = Buffer.from(digestOf(secret), "base64");
    const createdAt = Date.now();
    this.#store.accessKeys.insert({ id, userId, prefix, label, createdAt, expiresAt }, hash);
    return { id, secret, label, expiresAt };
  }

  /** Whether the key was issued to the user and not revoked; undefined where it was never issued. REQUEST_INVALID for what is no key. */
  hasKey(name: string, secret: string): boolean | undefined {
    if (!isAccessKey(secret))
      throw new SupervisorError("REQUEST_INVALID", "what was given is no access key");
    const row = this.#store.accessKeys.findByHash(Buffer.from(digestOf(secret), "base64"));
    return row === undefined ? undefined : row.user === name && row.revokedAt === null;
  }

  /** The keys that were not revoked, the expired ones among them, oldest first. USER_NOT_FOUND. */
  listKeys(name: string): AccessKey[] {
    return this.#store.accessKeys
      .list(this.#requireRow(name).id)
      .filter(({ revokedAt }) => revokedAt === null)
      .map(shownKey);
  }

  /** Keys of all users that end from now to `until` (epoch ms), the next first. */
  expiringKeys(until: number): OwnedKey[] {
    return this.#store.accessKeys.expiring(Date.now(), until).map(ownedKey);
  }

  /** Keys of all users that were not revoked. */
  allKeys(): OwnedKey[] {
    return this.#store.accessKeys.listAll().map(ownedKey);
  }

  /**
   * What the key of that user is called, and when it ends (epoch ms, null for never), from here on.
   * KEY_NOT_FOUND, also for one that was revoked.
   */
  changeKey(
    user: string,
    id: string,
    { label, expiresAt }: Pick<AccessKey, "label" | "expiresAt">,
  ): AccessKey {
    const row = this.#store.accessKeys.find(id);
    if (row === undefined || row.user !== user || row.revokedAt !== null)
      throw new SupervisorError("KEY_NOT_FOUND", "no such access key");
    this.#store.accessKeys.change(id, label, expiresAt);
    this.#keys.forget();
    this.#expiry.forget(id);
    const who = { user, issuer: BY_KEY, subject: user, credentialId: id, label, expiresAt };
    if (expiresAt !== null) this.#expiry.watch(who, expiresAt);
    return shownKey({ ...row, label, expiresAt });
  }

  /** From here on the key opens nothing; once more is no error. KEY_NOT_FOUND. */
  revokeKey(id: string): { id: string; user: string } {
    const row = this.#store.accessKeys.find(id);
    if (row === undefined) throw new SupervisorError("KEY_NOT_FOUND", "no such access key");
    if (this.#store.accessKeys.revoke(row.id, Date.now())) {
      this.browserSessions.endOfKey(row.id);
      this.#keys.forget();
      this.#expiry.forget(row.id);
      this.#end({ user: row.user, issuer: BY_KEY, credentialId: row.id });
    }
    return { id: row.id, user: row.user };
  }

  /**
   * Whose access key this is; undefined for what is malformed, unknown, revoked or expired and for a
   * user who is not enabled. Microseconds for a key that was seen before, less for the one that came
   * last on the same `connection` (any object that lives as long). May reject with STORE_FAILED.
   */
  verify(secret: string, connection: object = {}): Principal | undefined {
    return this.#keys.verify(secret, connection);
  }

  /**
   * What became of a key that opens nothing any more, as a sentence for the admin; undefined for what
   * was never a key here. A client is told the same in every case. May reject with STORE_FAILED.
   */
  endOf(secret: string): { user: string; why: string } | undefined {
    if (!isAccessKey(secret)) return undefined;
    const row = this.#store.accessKeys.findByHash(Buffer.from(digestOf(secret), "base64"));
    if (row === undefined) return undefined;
    const { user, prefix, label, revokedAt, expiresAt, userState } = row;
    const key = `the access key ${prefix}…${label === null ? "" : ` (${label})`} of ${user}`;
    if (revokedAt !== null) return { user, why: `${key} was revoked at ${instantOf(revokedAt)}` };
    if (expiresAt !== null && expiresAt <= Date.now())
      return { user, why: `${key} expired at ${instantOf(expiresAt)}` };
    return userState === "enabled" ? undefined : { user, why: `${key} belongs to a disabled user` };
  }

  /** From here on these issuers of JWTs are believed, and no other. */
  trust(issuers: readonly TrustedIssuer[]): void {
    this.#jwts.trust(issuers);
  }

  /** An issuer has other keys: what was found right before is looked at again. */
  recheck(): void {
    this.#keys.forget();
  }

  /**
   * As `verify`, for a JWT that is not known yet; undefined for what is none, or where none is taken.
   * Rejects with KEY_INVALID, whose details say why, or with STORE_FAILED.
   */
  verifyJwt(secret: string, connection: object = {}): Promise<Principal> | undefined {
    return this.#jwts.verify(secret, connection);
  }

  /** A JWT of the user, which is kept nowhere. USER_NOT_FOUND, or REQUEST_INVALID where none can be issued. */
  async issueJwt(name: string, wish: JwtWish): Promise<IssuedJwt> {
    return await this.#jwts.issue(this.#requireStaying(name).name, wish);
  }

  /** From here on the user's JWTs that were issued before `at` (epoch ms) open nothing; returns the time in force, which never goes back. */
  revokeJwtsBefore(name: string, at: number): number {
    const before = this.#jwts.revokeBefore(this.#requireStaying(name), at);
    this.events.emit("jwts-revoked", { user: name });
    return before;
  }

  /** What that issuer calls `subject` is this user from here on. USER_NOT_FOUND, or REQUEST_INVALID for an issuer that the config does not name. */
  linkIdentity(name: string, issuer: string, subject: string): void {
    this.#jwts.link(this.#requireStaying(name), issuer, subject);
  }

  /** What issuers of JWTs call the user. USER_NOT_FOUND. */
  listIdentities(name: string): IdentityRow[] {
    return this.#store.identities.list(this.#requireRow(name).id);
  }

  #end({ user, issuer, credentialId }: Credential): void {
    this.events.emit("credential-ended", { user, issuer, credentialId });
  }

  #endUser(user: string): void {
    this.#store.afterwards(() => {
      this.#keys.forget();
      this.access.forget(user);
      this.#jwts.userEnded(user);
      this.events.emit("user-ended", { user });
    });
  }

  #switch(name: string, state: Exclude<UserState, "removing">): User {
    const row = this.#requireStaying(name);
    if (row.state === state) return shown(row);
    this.#store.users.setState(row.id, state);
    if (state === "disabled") {
      this.browserSessions.endAll(name);
      this.#endUser(name);
    } else this.#keys.forget();
    return shown({ ...row, state });
  }

  #findRow(name: string): UserRow | undefined {
    return SLUG.test(name) ? this.#store.users.find(name) : undefined;
  }

  #requireRow(name: string): UserRow {
    const row = this.#findRow(name);
    if (row === undefined) throw new SupervisorError("USER_NOT_FOUND", "no such user");
    return row;
  }

  #requireStaying(name: string): UserRow {
    const row = this.#requireRow(name);
    if (row.state === "removing")
      throw new SupervisorError("USER_NOT_FOUND", "the user is being removed");
    return row;
  }
}

const instantOf = (epochMs: number): string => new Date(epochMs).toISOString();

function shown({ name, state, createdAt, fullName, email }: UserRow): User {
  return { name, state, createdAt, fullName, email };
}

function shownKey({ id, prefix, label, createdAt, expiresAt }: AccessKeyRow): AccessKey {
  return { id, prefix, label, createdAt, expiresAt };
}

const ownedKey = (row: OwnedKeyRow): OwnedKey => ({ user: row.user, ...shownKey(row) });
