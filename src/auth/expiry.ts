import type { Principal } from "./principal.ts";

/** The clock may jump and the machine may sleep, which a timer does not notice; so none is longer than this. */
const LONGEST_MS = 60_000;

/** Tells when the time of a key has come, to whoever has something open with it. One timer, for the next of them. */
export class KeyExpiry {
  readonly #onExpired: (principal: Principal) => void;
  readonly #dueAt = new Map<string, { principal: Principal; expiresAt: number }>();
  #timer: NodeJS.Timeout | undefined;
  #armedFor = Infinity;

  constructor(onExpired: (principal: Principal) => void) {
    this.#onExpired = onExpired;
  }

  /** From here on the end of this key is told, once. */
  watch(principal: Principal, expiresAt: number): void {
    this.#dueAt.set(principal.credentialId, { principal, expiresAt });
    if (expiresAt < this.#armedFor) this.#arm(expiresAt);
  }

  /** The key has ended otherwise. */
  forget(keyId: string): void {
    this.#dueAt.delete(keyId);
  }

  #arm(at: number): void {
    clearTimeout(this.#timer);
    this.#armedFor = at;
    if (at === Infinity) return;
    const waitMs = Math.min(Math.max(at - Date.now(), 0), LONGEST_MS);
    this.#timer = setTimeout(() => this.#tell(), waitMs);
    this.#timer.unref();
  }

  #tell(): void {
    const now = Date.now();
    let next = Infinity;
    for (const [keyId, { principal, expiresAt }] of this.#dueAt) {
      if (expiresAt > now) {
        next = Math.min(next, expiresAt);
        continue;
      }
      this.#dueAt.delete(keyId);
      this.#onExpired(principal);
    }
    this.#arm(next);
  }
}
