/** Room: tokens. The users' secrets for the services outside. In: a token, once. Out: the token for one child, fingerprints for everybody else, and an event when one changed. Never logs, compares or tries a token. */
import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import { SLUG } from "../platform/slug.ts";
import { SupervisorError } from "../errors.ts";
import type { Store, UserRow } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";

/** The kernel passes at most 128 KiB as one string of the environment, with the variable's name. */
const MAX_BYTES = 127 * 1024;

/** The name of the general token in a row. */
const GENERAL = "";

/** A token as it can be shown. */
export interface StoredToken {
  /** null for the general token, which goes to every server without one of its own. */
  server: string | null;
  /** `sha256:` and twelve hex digits: enough to compare two tokens by, not enough to find one. */
  fingerprint: string;
  setAt: number;
  /** May have passed: whether a token still works is for its provider to say. */
  expiresAt: number | null;
}

/** Emitted when the change is on the disk, before the call that made it returns. */
export interface TokenEvents {
  /** `server` is null where it was the general token, or all of them. */
  changed: [{ user: string; server: string | null; isCleared: boolean }];
}

/** Tokens by user and server. Every call may reject with STORE_FAILED; a change has then changed nothing. */
export class Tokens {
  readonly events = new EventEmitter<TokenEvents>();
  readonly #store: Store;
  readonly #vault: Vault;

  constructor({ store, vault }: { store: Store; vault: Vault }) {
    this.#store = store;
    this.#vault = vault;
  }

  /**
   * Keeps the token in place of the one before. `expiresAt` is epoch ms. USER_NOT_FOUND also for a
   * user who is being removed; REQUEST_INVALID for what cannot be a token.
   */
  set(user: string, server: string | null, value: string, expiresAt: number | null = null): void {
    requireToken(value);
    const { id, state } = this.#requireUser(user);
    if (state === "removing")
      throw new SupervisorError("USER_NOT_FOUND", "the user is being removed");
    const row = {
      server: server ?? GENERAL,
      fingerprint: fingerprintOf(value),
      setAt: Date.now(),
      expiresAt,
    };
    this.#store.tokens.set(id, row, this.#vault.seal(value, placeOf(user, row.server)));
    this.events.emit("changed", { user, server, isCleared: false });
  }

  /** The general token first, then by server. USER_NOT_FOUND. */
  show(user: string): StoredToken[] {
    return this.#store.tokens
      .list(this.#requireUser(user).id)
      .map((row) => ({ ...row, server: row.server === GENERAL ? null : row.server }));
  }

  /** USER_NOT_FOUND, or TOKEN_NOT_FOUND where none was set. */
  clear(user: string, server: string | null): void {
    if (!this.#store.tokens.delete(this.#requireUser(user).id, server ?? GENERAL))
      throw new SupervisorError("TOKEN_NOT_FOUND", "there is no such token");
    this.events.emit("changed", { user, server, isCleared: true });
  }

  /** How many there were. USER_NOT_FOUND. */
  clearAll(user: string): number {
    const count = this.#store.tokens.deleteAll(this.#requireUser(user).id);
    if (count > 0) this.events.emit("changed", { user, server: null, isCleared: true });
    return count;
  }

  /** The token for that server, else the user's general one, else undefined. */
  secretFor(user: string, server: string): string | undefined {
    const sealed = this.#store.tokens.findFor(user, server);
    return sealed && this.#vault.open(sealed.box, placeOf(user, sealed.server));
  }

  #requireUser(name: string): UserRow {
    const row = SLUG.test(name) ? this.#store.users.find(name) : undefined;
    if (row === undefined) throw new SupervisorError("USER_NOT_FOUND", "no such user");
    return row;
  }
}

export function openTokens(rooms: { store: Store; vault: Vault }): Tokens {
  return new Tokens(rooms);
}

/** Bound into the box: a row that is moved to another user or server does not open there. */
function placeOf(user: string, server: string): string {
  return `tokens|${user}|${server}`;
}

function fingerprintOf(value: string): string {
  return `sha256:${createHash("sha256").update(value).digest("hex").slice(0, 12)}`;
}

/** Tells one token from every other, and no token; a short token could be guessed from it, so it is kept sealed only. */
export const markOf = (token: string | undefined): string =>
  token === undefined ? "" : createHash("sha256").update(token).digest("base64");

function requireToken(value: string): void {
  const problem = tokenProblem(value);
  if (problem !== undefined) throw new SupervisorError("REQUEST_INVALID", `the token ${problem}`);
}

function tokenProblem(value: string): string | undefined {
  if (value === "") return "is empty";
  if (Buffer.byteLength(value) > MAX_BYTES) return `is longer than ${MAX_BYTES / 1024} KiB`;
  if (value.includes("\0")) return "holds a NUL character, which no environment can carry";
  // Half of a surrogate pair would be replaced in UTF-8, and the child would get another token.
  return /\p{Cs}/u.test(value) ? "is not valid Unicode" : undefined;
}
