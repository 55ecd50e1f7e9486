import type { AccessKeyRows } from "../store/access-keys.ts";
import { digestOf, isAccessKey } from "./access-key.ts";

/** Who a request comes from. */
export interface Principal {
  readonly user: string;
  readonly keyId: string;
  readonly label: string | null;
}

interface LiveKey {
  principal: Principal;
  expiresAt: number | null;
}

/** About 5 MB when full. */
const MAX_KEYS = 10_000;

/**
 * Answers whose access key this is, from memory where it was asked before.
 *
 * Exact, because this process is the only one that writes keys and users, and forgets all on every
 * write that ends one. Only live keys are held, so guesses cannot push them out; expiry is judged on
 * every call, because it comes without a write.
 */
export class KeyCache {
  readonly #rows: AccessKeyRows;
  readonly #onExpiring: (principal: Principal, expiresAt: number) => void;
  readonly #live = new Map<string, LiveKey>();
  /** The last key of each connection: hashing it again for every request would tell nothing new. */
  #byConnection = new WeakMap<object, { secret: string; key: LiveKey }>();

  /** `onExpiring` is told of every key in use that has an end, before it is let in. */
  constructor(rows: AccessKeyRows, onExpiring: (principal: Principal, expiresAt: number) => void) {
    this.#rows = rows;
    this.#onExpiring = onExpiring;
  }

  verify(secret: string, connection: object): Principal | undefined {
    const known = this.#byConnection.get(connection);
    // The comparison is with what the same peer sent before, so its time tells the peer nothing.
    const key = known?.secret === secret ? known.key : this.#find(secret, connection);
    if (key === undefined) return undefined;
    return key.expiresAt !== null && key.expiresAt <= Date.now() ? undefined : key.principal;
  }

  #find(secret: string, connection: object): LiveKey | undefined {
    if (!isAccessKey(secret)) return undefined;
    const digest = digestOf(secret);
    const key = this.#live.get(digest) ?? this.#read(digest);
    if (key !== undefined) this.#byConnection.set(connection, { secret, key });
    return key;
  }

  #read(digest: string): LiveKey | undefined {
    const row = this.#rows.findByHash(Buffer.from(digest, "base64"));
    if (row === undefined || row.revokedAt !== null || row.userState !== "enabled")
      return undefined;
    const principal = Object.freeze({ user: row.user, keyId: row.id, label: row.label });
    const key = { principal, expiresAt: row.expiresAt };
    if (this.#live.size >= MAX_KEYS) this.#live.clear();
    this.#live.set(digest, key);
    if (row.expiresAt !== null) this.#onExpiring(principal, row.expiresAt);
    return key;
  }

  /** All of it: a refill costs each key one indexed read, and no ended key can be overlooked. */
  forget(): void {
    this.#live.clear();
    this.#byConnection = new WeakMap();
  }
}
