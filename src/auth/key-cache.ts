import type { AccessKeyRows } from "../store/access-keys.ts";
import { BY_KEY } from "./principal.ts";
import type { Principal } from "./principal.ts";
import { digestOf, isAccessKey } from "./access-key.ts";
import { looksLikeJwt } from "./jwt/verify.ts";

/** About 5 MB when full. */
const MAX_KEYS = 10_000;

/**
 * Answers whose access key this is, from memory where it was asked before; and whose JWT, where it
 * was let in before: to check one takes longer than an answer may wait for another request's.
 *
 * Exact, because this process is the only one that writes keys and users, and forgets all on every
 * write that ends one. Only live keys are held, so guesses cannot push them out; expiry is judged on
 * every call, because it comes without a write.
 */
export class KeyCache {
  readonly #rows: AccessKeyRows;
  readonly #onExpiring: (principal: Principal, expiresAt: number) => void;
  readonly #live = new Map<string, Principal>();
  /** The last key of each connection: hashing it again for every request would tell nothing new. */
  #byConnection = new WeakMap<object, { secret: string; principal: Principal }>();

  /** `onExpiring` is told of every key in use that has an end, before it is let in. */
  constructor(rows: AccessKeyRows, onExpiring: (principal: Principal, expiresAt: number) => void) {
    this.#rows = rows;
    this.#onExpiring = onExpiring;
  }

  verify(secret: string, connection: object): Principal | undefined {
    const known = this.#byConnection.get(connection);
    // The comparison is with what the same peer sent before, so its time tells the peer nothing.
    const principal = known?.secret === secret ? known.principal : this.#find(secret, connection);
    if (principal === undefined || principal.expiresAt === null) return principal;
    return principal.expiresAt <= Date.now() ? undefined : principal;
  }

  #find(secret: string, connection: object): Principal | undefined {
    const isOurs = isAccessKey(secret);
    if (!isOurs && !looksLikeJwt(secret)) return undefined;
    const digest = digestOf(secret);
    const principal = this.#live.get(digest) ?? (isOurs ? this.#read(digest) : undefined);
    if (principal !== undefined) this.#byConnection.set(connection, { secret, principal });
    return principal;
  }

  #read(digest: string): Principal | undefined {
    const row = this.#rows.findByHash(Buffer.from(digest, "base64"));
    if (row === undefined || row.revokedAt !== null || row.userState !== "enabled")
      return undefined;
    const { user, id: credentialId, label, expiresAt } = row;
    const who = { user, issuer: BY_KEY, subject: user, credentialId, label, expiresAt };
    const principal = Object.freeze(who);
    this.#keep(digest, principal);
    return principal;
  }

  /** A JWT that was found right is known as well, until all is forgotten. */
  admit(secret: string, digest: string, connection: object, principal: Principal): void {
    this.#keep(digest, principal);
    this.#byConnection.set(connection, { secret, principal });
  }

  #keep(digest: string, principal: Principal): void {
    const { expiresAt } = principal;
    if (this.#live.size >= MAX_KEYS) this.#live.clear();
    this.#live.set(digest, principal);
    if (expiresAt !== null) this.#onExpiring(principal, expiresAt);
  }

  /** All of it: a refill costs each key one indexed read or one check, and no ended key can be overlooked. */
  forget(): void {
    this.#live.clear();
    this.#byConnection = new WeakMap();
  }
}
