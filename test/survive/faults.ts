import { setTimeout as delay } from "node:timers/promises";
import type { Notes } from "../helpers/notes-calls.ts";
import { until } from "../helpers/until.ts";
import type { Door, SomeClient } from "./sdk-clients.ts";

export const FAULTS = ["killed", "idle", "replaced"] as const;
export type Fault = (typeof FAULTS)[number];

/** A gateway with one server behind it, and what can befall that. */
export interface Stand {
  name: string;
  door: Door;
  notes: Notes;
  /** What it knows of; each resolves when it is over. */
  faults: Partial<Record<Fault, () => Promise<void>>>;
  /** Makes it serve again where nobody could begin a session any more. */
  revive: () => Promise<void>;
}

export interface Tally {
  client: string;
  rounds: number;
  /** Calls under way at the fault: their results, errors, and those without either. */
  results: number;
  errors: number;
  unanswered: number;
  /** Resources that were read at the fault, or right after it. */
  reads: number;
  failedReads: number;
  /** Calls after the fault that had no result. */
  failedCalls: number;
  duplicated: number;
  /** Answers to calls of another session. */
  strangers: number;
  /** Sessions that had to be begun anew, and gateways that had to be. */
  begunAnew: number;
  revived: number;
  /** What the client said of the calls and reads that failed. */
  said: string[];
}

/** Numbers of calls that are one ride's alone. */
const NUMBERS = 10_000;
let given = 0;

const URI = "note://1";
const UNDER_WAY_MS = 150;
const IN_FLIGHT = ["killed", "replaced"];

type Answer =
  | { kind: "result"; text: string }
  | { kind: "error"; message: string }
  | { kind: "unanswered" };

/** What came of it, within a client's patience. */
async function answerOf(asked: Promise<string>, patienceMs: number): Promise<Answer> {
  const gaveUp = new AbortController();
  const over = delay(patienceMs + 1000, undefined, { signal: gaveUp.signal }).then((): Answer => ({
    kind: "unanswered",
  }));
  over.catch(() => undefined);
  const answered = asked.then(
    (text): Answer => ({ kind: "result", text }),
    (error: Error): Answer =>
      // What a client says when it has waited in vain is its own.
      /timed? ?out/i.test(error.message)
        ? { kind: "unanswered" }
        : { kind: "error", message: error.message },
  );
  const answer = await Promise.race([answered, over]);
  gaveUp.abort();
  return answer;
}

/** One client through the same fault again and again. */
class Ride {
  readonly client: SomeClient;
  readonly tally: Tally;
  readonly #stand: Stand;
  readonly #first: number;
  #n: number;
  #isLost = false;

  constructor(client: SomeClient, stand: Stand, first: number) {
    this.client = client;
    this.#stand = stand;
    this.#first = first;
    this.#n = first;
    this.tally = {
      client: client.name,
      rounds: 0,
      results: 0,
      errors: 0,
      unanswered: 0,
      reads: 0,
      failedReads: 0,
      failedCalls: 0,
      duplicated: 0,
      strangers: 0,
      begunAnew: 0,
      revived: 0,
      said: [],
    };
  }

  /** Begins what is under way at the fault; the server has it when this resolves, its end is to be awaited. */
  async begin(): Promise<{ ended: Promise<void> }> {
    const n = (this.#n += 1);
    const { notes } = this.#stand;
    const before = notes.received().length;
    const call = this.#answerOf(this.client.call("late", { n, ms: UNDER_WAY_MS }));
    const read = this.#answerOf(this.client.read(URI));
    const settle = async (): Promise<void> => {
      const called = await call;
      if (called.kind === "result") this.tally.results += 1;
      else if (called.kind === "error") this.tally.errors += 1;
      else this.tally.unanswered += 1;
      this.#compare(called, n);
      this.#countRead(await read);
    };
    const ended = settle();
    // It may end before anybody waits for it.
    ended.catch(() => undefined);
    const isThere = () =>
      notes.count(n) > 0 &&
      notes
        .received()
        .slice(before)
        .some(({ got }) => got.method === "resources/read");
    await until(isThere, "the server has them", 2000).catch(() => undefined);
    return { ended };
  }

  /** What the session is worth after it. */
  async goOn(): Promise<void> {
    const n = (this.#n += 1);
    const called = await this.#answerOf(this.client.call("note", { n }));
    if (called.kind !== "result") this.tally.failedCalls += 1;
    this.#compare(called, n);
    const readIn = await this.#answerOf(this.client.read(URI));
    this.#countRead(readIn);
    this.tally.rounds += 1;
    this.#isLost = called.kind !== "result" || readIn.kind !== "result";
  }

  async #answerOf(asked: Promise<string>): Promise<Answer> {
    const answer = await answerOf(asked, this.#stand.door.patienceMs);
    if (answer.kind === "error") this.tally.said.push(answer.message);
    return answer;
  }

  #countRead({ kind }: Answer): void {
    this.tally.reads += 1;
    if (kind !== "result") this.tally.failedReads += 1;
  }

  #compare(answer: Answer, n: number): void {
    if (answer.kind !== "result") return;
    if ((JSON.parse(answer.text) as { n: number }).n !== n) this.tally.strangers += 1;
  }

  async beginAnewIfLost(): Promise<void> {
    if (!this.#isLost) return;
    const { tally, client } = this;
    await client.close();
    tally.begunAnew += 1;
    // Some take a session whose calls all fail.
    const isServed = async (): Promise<boolean> => {
      const served = client.open(this.#stand.door).then(() => client.call("whoami", {}));
      return (await this.#answerOf(served)).kind === "result";
    };
    if (await isServed()) return;
    await client.close();
    tally.revived += 1;
    await this.#stand.revive();
    await client.open(this.#stand.door);
  }

  finish(): Tally {
    const times = new Map<number, number>();
    for (const { n = 0 } of this.#stand.notes.calls()) times.set(n, (times.get(n) ?? 0) + 1);
    for (let n = this.#first + 1; n <= this.#n; n += 1)
      if ((times.get(n) ?? 0) > 1) this.tally.duplicated += 1;
    return this.tally;
  }
}

/** What became of each client's session under so many of these faults; undefined where the gateway knows no such thing. */
export async function ride(
  stand: Stand,
  clients: readonly SomeClient[],
  fault: Fault,
  rounds: number,
): Promise<Tally[] | undefined> {
  const befall = stand.faults[fault];
  if (befall === undefined) return undefined;
  const rides = clients.map((client) => new Ride(client, stand, (given += NUMBERS)));
  try {
    for (const { client } of rides) await client.open(stand.door);
    for (let round = 0; round < rounds; round += 1) {
      stand.notes.behave({ listMs: UNDER_WAY_MS });
      const begun = IN_FLIGHT.includes(fault)
        ? await Promise.all(rides.map((one) => one.begin()))
        : [];
      await befall();
      await Promise.all(begun.map(({ ended }) => ended));
      stand.notes.behave({});
      await Promise.all(rides.map((one) => one.goOn()));
      // One at a time: a gateway that has to be started again has to be so once.
      for (const one of rides) await one.beginAnewIfLost();
    }
    return rides.map((one) => one.finish());
  } finally {
    for (const { client } of rides) await client.close();
  }
}
