import { UnderWay } from "../platform/under-way.ts";
import type { RequestRecord } from "./request-record.ts";

const MAX_FAILED = 500;
const MAX_GOOD = 300;
/** Kept apart, so that a stranger who knocks all day does not push out what the users met. */
const MAX_UNPROVEN = 300;
/** Of one user, so that one client in a loop leaves room for the others. */
const MAX_FAILED_OF_USER = 50;

/** Servers of users whose calls end in errors just now; the longest known is forgotten for a new one. */
const MAX_RUNS = 1000;

/** Calls in a row that a user's server itself answered with an error. */
export interface ErrorRun {
  readonly server: string;
  /** Of the last one; a client's text. */
  readonly tool: string;
  readonly count: number;
  /** Epoch ms of the last one's answer. */
  readonly at: number;
}

/** What is under way and the last requests, in memory, for whoever asks what became of one. */
export class Journal {
  readonly #open = new UnderWay<RequestRecord>();
  readonly #runs = new Map<string, ErrorRun & { readonly user: string }>();
  readonly #failed = new Ring(MAX_FAILED);
  readonly #good = new Ring(MAX_GOOD);
  readonly #unproven = new Ring(MAX_UNPROVEN);

  /** The request is under way until it is added. */
  began(record: RequestRecord): void {
    this.#open.add(record);
  }

  /** The request has ended, and is not to be remembered. */
  forget(record: RequestRecord): void {
    this.#open.delete(record);
  }

  add(record: RequestRecord): void {
    this.#open.delete(record);
    if (record.failure === null) this.#good.add(record);
    else if (record.user === null) this.#unproven.add(record);
    else this.#failed.addWithin(MAX_FAILED_OF_USER, record);
  }

  find(requestId: string): RequestRecord | undefined {
    for (const ring of [this.#failed, this.#unproven, this.#good])
      for (const record of ring.all()) if (record.requestId === requestId) return record;
    return undefined;
  }

  /** The last requests that are remembered, the newest first. */
  all(): RequestRecord[] {
    return [this.#failed, this.#unproven, this.#good]
      .flatMap((ring) => ring.all())
      .toSorted(newestFirst);
  }

  /** Whoever something was refused or failed of lately, is waiting, or calls in vain: names, some of nobody. */
  unlucky(): Set<string> {
    const failed = [...this.#failed.all(), ...this.#unproven.all()];
    const names = failed.flatMap(({ user, pathUser }) => [user, pathUser]);
    const waiting = Array.from(this.#open, ({ method, user }) => (method === "POST" ? user : null));
    const calling = Array.from(this.#runs.values(), ({ user }) => user);
    return new Set([...names, ...waiting, ...calling].filter((name) => name !== null));
  }

  /** What was refused or failed of this user's, or without a valid key on this user's path; the newest first. */
  failuresOf(user: string): RequestRecord[] {
    return [...this.#failed.all(), ...this.#unproven.all()]
      .filter((record) => record.user === user || record.pathUser === user)
      .toSorted(newestFirst);
  }

  /** The last message of this user's that was answered, and not with a refusal of the server's own; a stream says nothing of how well it goes. */
  lastGoodOf(user: string): RequestRecord | undefined {
    return this.#good
      .all()
      .filter((record) => record.user === user && record.method === "POST" && record.status < 400)
      .toSorted(newestFirst)[0];
  }

  /** What this user's clients have asked and wait for, streams among it. */
  openOf(user: string): RequestRecord[] {
    return [...this.#open].filter((record) => record.user === user);
  }

  /** A call of a tool has ended; `outcome` as the audit has it. */
  called(user: string, server: string, tool: string, outcome: string): void {
    // Nearly always: every call comes by here.
    if (outcome === "ok" && this.#runs.size === 0) return;
    const key = `${user}/${server}`;
    if (outcome === "ok") return void this.#runs.delete(key);
    if (outcome !== "error" && outcome !== "tool-error") return;
    const count = (this.#runs.get(key)?.count ?? 0) + 1;
    this.#runs.delete(key);
    this.#runs.set(key, { user, server, tool, count, at: Date.now() });
    if (this.#runs.size > MAX_RUNS) this.#runs.delete(this.#runs.keys().next().value!);
  }

  /** By server, where this user's last call ended so; the latest first. */
  errorRunsOf(user: string): ErrorRun[] {
    return [...this.#runs.values()].filter((run) => run.user === user).toReversed();
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
