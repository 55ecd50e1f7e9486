import { SupervisorError } from "../errors.ts";
import { DAY_MS } from "../platform/durations.ts";
import { digestOfSecret, newOneTimeSecret } from "../platform/one-time.ts";
import type { Store } from "../store/store.ts";

const LABEL = "invite";
/** Long before that, what is presented is no code of ours. */
const MAX_CODE_LENGTH = 100;

/** What whoever has the code gets for it, once. */
export interface Redeemed {
  user: string;
  key: { id: string; secret: string };
}

type IssueKey = (user: string, about: { label: string }) => { id: string; secret: string };

/** Codes that are worth an access key, once: keys are hashes at rest, so that an invite issues one. Every call may reject with STORE_FAILED. */
export class Invites {
  readonly #store: Pick<Store, "invites" | "users" | "transaction">;
  readonly #issueKey: IssueKey;

  constructor(store: Pick<Store, "invites" | "users" | "transaction">, issueKey: IssueKey) {
    this.#store = store;
    this.#issueKey = issueKey;
  }

  /** A new code, in place of the one that the user had. `code` is in no other place. USER_NOT_FOUND. */
  create(user: string, code = newOneTimeSecret()): { code: string; expiresAt: number } {
    const expiresAt = Date.now() + DAY_MS;
    this.#store.invites.set(this.#idOf(user), digestOfSecret(code), expiresAt);
    return { code, expiresAt };
  }

  /** Until when the code is good for the user; undefined where it is not. */
  expiryOf(user: string, code: string): number | undefined {
    return this.#store.invites.expiryOf(this.#idOf(user), digestOfSecret(code));
  }

  /** False where the user had none. USER_NOT_FOUND. */
  revoke(user: string): boolean {
    return this.#store.invites.delete(this.#idOf(user));
  }

  /** INVITE_INVALID for what was used, revoked, is late or never was: nobody learns which. */
  redeem(code: string): Redeemed {
    const found = this.#store.transaction(() => {
      const user =
        code.length > MAX_CODE_LENGTH ? undefined : this.#store.invites.take(digestOfSecret(code));
      if (user === undefined) return undefined;
      const { id, secret } = this.#issueKey(user, { label: LABEL });
      return { user, key: { id, secret } };
    });
    if (found !== undefined) return found;
    throw new SupervisorError("INVITE_INVALID", "this invite is not valid, or no longer valid");
  }

  #idOf(user: string): number {
    const row = this.#store.users.find(user);
    if (row !== undefined && row.state !== "removing") return row.id;
    throw new SupervisorError("USER_NOT_FOUND", "no such user");
  }
}
