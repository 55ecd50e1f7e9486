import type { RequestRecord } from "./requests.ts";

const MAX_FAILED = 500;
const MAX_GOOD = 300;
/** Kept apart, so that a stranger who knocks all day does not push out what the users met. */
const MAX_UNPROVEN = 300;
/** Of one user, so that one client in a loop leaves room for the others. */
const MAX_FAILED_OF_USER = 50;

/** The last requests, in memory, for whoever asks what became of one. */
export class Journal {
  readonly #failed = new Ring(MAX_FAILED);
  readonly #good = new Ring(MAX_GOOD);
  readonly #unproven = new Ring(MAX_UNPROVEN);

  add(record: RequestRecord): void {
    if (record.failure === null) this.#good.add(record);
    else if (record.user === null) this.#unproven.add(record);
    else this.#failed.addWithin(MAX_FAILED_OF_USER, record);
  }

  find(requestId: string): RequestRecord | undefined {
    for (const ring of [this.#failed, this.#unproven, this.#good])
      for (const record of ring.all()) if (record.requestId === requestId) return record;
    return undefined;
  }

  /** What was refused or failed of this user's, or without a valid key on this user's path; the newest first. */
  failuresOf(user: string): RequestRecord[] {
    return [...this.#failed.all(), ...this.#unproven.all()]
      .filter((record) => record.user === user || record.pathUser === user)
      .toSorted(newestFirst);
  }

  /** The last request of this user's that went well. */
  lastGoodOf(user: string): RequestRecord | undefined {
    return this.#good
      .all()
      .filter((record) => record.user === user)
      .toSorted(newestFirst)[0];
  }
}

/** The last so many records. */
class Ring {
  readonly #records: RequestRecord[] = [];
  readonly #size: number;
  #next = 0;

  constructor(size: number) {
    this.#size = size;
  }

  add(record: RequestRecord): void {
    this.#records[this.#next] = record;
    this.#next = (this.#next + 1) % this.#size;
  }

  /** As `add`, where this user has so many already: in place of the oldest of them. */
  addWithin(share: number, record: RequestRecord): void {
    const own = this.#records.filter(({ user }) => user === record.user);
    if (own.length < share) return this.add(record);
    const oldest = own.toSorted(newestFirst).at(-1)!;
    this.#records[this.#records.indexOf(oldest)] = record;
  }

  all(): readonly RequestRecord[] {
    return this.#records;
  }
}

/** Ids of one life of the daemon are in order; times may be equal, or go back with the clock. */
function newestFirst(a: RequestRecord, b: RequestRecord): number {
  return a.requestId < b.requestId ? 1 : -1;
}
