import assert from "node:assert/strict";
import { createHash } from "node:crypto";

/** What there is of one user; `keys` are those that open the door. */
export interface Account {
  fingerprint: string | null;
  keys: string[];
}

/** What the daemon has acknowledged, and the one change of each user that it may or may not have made. */
interface Entry {
  acknowledged: Account | null;
  /** How the account is if the change under way was made; `isKeyNew`: with one key more, of an unknown id. */
  attempted?: { account: Account | null; isKeyNew: boolean };
}

export const fingerprintOf = (token: string): string =>
  `sha256:${createHash("sha256").update(token).digest("hex").slice(0, 12)}`;

/**
 * The users as the daemon must have them. Each user has one change at a time under way, so after a
 * kill there are two ways an account may look, and no third.
 */
export class Ledger {
  readonly #entries = new Map<string, Entry>();
  acknowledgements = 0;

  /** The users that are there for sure, whose name starts so. */
  names(prefix = ""): string[] {
    return [...this.#entries]
      .filter(([name, entry]) => name.startsWith(prefix) && entry.acknowledged !== null)
      .map(([name]) => name);
  }

  account(name: string): Account {
    return this.#entries.get(name)?.acknowledged ?? { fingerprint: null, keys: [] };
  }

  /** A change is on its way to the daemon. */
  attempt(name: string, account: Account | null, isKeyNew = false): void {
    const entry = this.#entries.get(name) ?? { acknowledged: null };
    this.#entries.set(name, { ...entry, attempted: { account, isKeyNew } });
  }

  /** The daemon has said that the change is made. */
  acknowledge(name: string, account: Account | null): void {
    this.acknowledgements += 1;
    this.#entries.set(name, { acknowledged: account });
  }

  /** Fails unless each account is as acknowledged, or as the change under way would have left it; takes on what it is. */
  check(found: ReadonlyMap<string, Account>): void {
    for (const [name, { acknowledged, attempted }] of this.#entries) {
      const is = found.get(name) ?? null;
      const isAttempted = attempted && isSame(is, attempted.account, attempted.isKeyNew);
      if (!isSame(is, acknowledged) && isAttempted !== true)
        assert.fail(
          `${name}: is ${JSON.stringify(is)}, acknowledged ${JSON.stringify(acknowledged)}, attempted ${JSON.stringify(attempted ?? null)}`,
        );
      this.#entries.set(name, { acknowledged: is });
    }
    const strangers = [...found.keys()].filter((name) => !this.#entries.has(name));
    assert.deepEqual(strangers, [], "users whom nobody added");
  }
}

/**
 * Which generation of a server its callers have met, by the token that it was started with: two serve
 * side by side for a while, and who was answered by the later one is never led to the earlier one again.
 */
export class Told {
  /** The tokens of each user, in the order in which the daemon was given them. */
  readonly #given = new Map<string, string[]>();
  readonly #latest = new Map<string, number>();
  /** Answers so far. */
  answers = 0;

  give(user: string, token: string): void {
    this.#given.set(user, [...(this.#given.get(user) ?? []), token]);
  }

  /** The latest token that an answer told of, by its place among the user's. */
  latest(user: string): number {
    return this.#latest.get(user) ?? 0;
  }

  /** An answer to a call that was begun when `latest` was `begunAt`. */
  check(user: string, token: string, begunAt: number): void {
    this.answers += 1;
    const place = this.#given.get(user)?.indexOf(token) ?? -1;
    assert.ok(place >= begunAt, `${user}: answered with token ${place} after token ${begunAt}`);
    this.#latest.set(user, Math.max(place, this.latest(user)));
  }
}

function isSame(is: Account | null, expected: Account | null, isKeyNew = false): boolean {
  if (is === null || expected === null) return is === expected;
  return (
    is.fingerprint === expected.fingerprint &&
    expected.keys.every((id) => is.keys.includes(id)) &&
    is.keys.length === expected.keys.length + (isKeyNew ? 1 : 0)
  );
}
