import { randomBytes } from "node:crypto";
import { DAY_MS } from "../platform/durations.ts";
import { digestOfSecret, isOneTimeSecret, newOneTimeSecret } from "../platform/one-time.ts";
import type { BrowserSessionRow, Store } from "../store/store.ts";
import { BY_KEY } from "./principal.ts";
import type { Principal } from "./principal.ts";

const IDLE_MS = DAY_MS / 2;
const LONGEST_MS = 7 * DAY_MS;
/** When it was last used is written so often at most: a page asks every few seconds. */
const BETWEEN_WRITES_MS = 60_000;
/** The one that was used least recently gives way. */
const MAX_OF_USER = 50;
const MAX_CLIENT = 200;
/** What the audit calls whoever asks by a page. */
const BY_PAGE = "page";

/** A browser in which a user has signed in. */
export interface BrowserSession extends Pick<
  BrowserSessionRow,
  "id" | "keyId" | "keyLabel" | "client" | "createdAt" | "usedAt"
> {
  /** Epoch ms; earlier where it is not used for twelve hours. */
  readonly expiresAt: number;
}

/** A request that a browser has sent: by which session, and for whom. */
export interface BrowserCaller {
  readonly session: BrowserSession;
  /** Of the key that the session was opened with, with which it ends. */
  readonly principal: Principal;
}

/**
 * Where users have signed in with a browser. Kept by hash, so that they outlast the daemon; over after
 * twelve idle hours, after seven days, and with the key and the user. Every call may reject with STORE_FAILED.
 */
export class BrowserSessions {
  readonly #store: Pick<Store, "browserSessions" | "relaxed">;
  readonly #onEnded: (id: string) => void;
  readonly #now: () => number;

  /** `onEnded` is told of those that are ended, not of those whose time passes. */
  constructor(
    store: Pick<Store, "browserSessions" | "relaxed">,
    onEnded: (id: string) => void,
    now: () => number = Date.now,
  ) {
    this.#store = store;
    this.#onEnded = onEnded;
    this.#now = now;
  }

  /** A new session of the key's user. `secret` is in no other place. */
  open({ user, credentialId: keyId }: Principal, client: string): { secret: string; id: string } {
    const secret = newOneTimeSecret();
    const id = `web_${randomBytes(8).toString("hex")}`;
    for (const { id: old } of this.list(user).slice(MAX_OF_USER - 1)) this.#end(old);
    const row = { id, keyId, client: client.slice(0, MAX_CLIENT), createdAt: this.#now() };
    this.#store.browserSessions.insert(row, digestOfSecret(secret), this.#inForce());
    return { secret, id };
  }

  /** Whose secret this is, which counts as a use; undefined for what is unknown or over. */
  verify(secret: string): BrowserCaller | undefined {
    if (!isOneTimeSecret(secret)) return undefined;
    const now = this.#now();
    const { browserSessions } = this.#store;
    const row = browserSessions.find(digestOfSecret(secret), now, this.#inForce());
    if (row === undefined) return undefined;
    // What a power loss takes back of that is told by the next request.
    if (now - row.usedAt >= BETWEEN_WRITES_MS)
      this.#store.relaxed(() => browserSessions.use(row.id, now));
    const { user, keyId: credentialId, keyExpiresAt: expiresAt } = row;
    const principal = {
      user,
      issuer: BY_KEY,
      subject: user,
      credentialId,
      label: BY_PAGE,
      expiresAt,
    };
    return { session: shown(row), principal };
  }

  /** The user's, the last used first. */
  list(user: string): BrowserSession[] {
    return this.#store.browserSessions.list(user, this.#now(), this.#inForce()).map(shown);
  }

  /** False where the user has none of that id. */
  end(user: string, id: string): boolean {
    const isThere = this.#store.browserSessions.ofUser(user).includes(id);
    if (isThere) this.#end(id);
    return isThere;
  }

  /** How many there were. */
  endAll(user: string): number {
    return this.#endThese(this.#store.browserSessions.ofUser(user));
  }

  /** Those that were opened with it are over. */
  endOfKey(keyId: string): void {
    this.#endThese(this.#store.browserSessions.ofKey(keyId));
  }

  #endThese(ids: readonly string[]): number {
    for (const id of ids) this.#end(id);
    return ids.length;
  }

  #end(id: string): void {
    this.#store.browserSessions.delete(id);
    this.#onEnded(id);
  }

  #inForce(): { usedAfter: number; createdAfter: number } {
    const now = this.#now();
    return { usedAfter: now - IDLE_MS, createdAfter: now - LONGEST_MS };
  }
}

function shown({
  id,
  keyId,
  keyLabel,
  client,
  createdAt,
  usedAt,
}: BrowserSessionRow): BrowserSession {
  return { id, keyId, keyLabel, client, createdAt, usedAt, expiresAt: createdAt + LONGEST_MS };
}
