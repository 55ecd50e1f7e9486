import { setTimeout as delay } from "node:timers/promises";
import type { Conversation, Outcome } from "../helpers/conversation.ts";
import { until } from "../helpers/until.ts";
import { WAYS, nameOf, planOf } from "./kills.ts";
import type { Way } from "./kills.ts";
import { Rig } from "./rig.ts";
import type { Fault, StartGateway } from "./rig.ts";
import { Sheet, atMost } from "./sheet.ts";

const LANES = 3;
const CALL_MS = 1000;
/** How far a call has come when its server is killed. */
const INTO_MS = 100;
/** From the signal to the error. */
const MOST_MS = 250;

interface Cut {
  outcome: Outcome;
  fault: Fault;
  /** From the signal to the answer. */
  afterMs: number;
}

/** A request whose server is killed so long after it has begun with it. */
async function cut(
  rig: Rig,
  { server }: Way,
  asked: Promise<Outcome>,
  hasBegun: () => boolean,
): Promise<Cut> {
  const answered = asked.then((outcome) => ({ outcome, at: performance.now() }));
  // Looked at once the kill is done.
  answered.catch(() => undefined);
  await until(hasBegun, "the server works at it");
  await delay(INTO_MS);
  const fault = await rig.end(server);
  const { outcome, at } = await answered;
  return { outcome, fault, afterMs: at - fault.at };
}

const wordsOf = ({ result, error, status }: Outcome): string => {
  if (result !== undefined) return "a result";
  const told = error?.data?.mayHaveHappened;
  return `${status} ${error?.data?.type ?? "error"}, mayHaveHappened ${told}`;
};

class Cuts {
  readonly #rig: Rig;
  readonly #sheet: Sheet;
  #n = 0;

  constructor(rig: Rig, sheet: Sheet) {
    this.#rig = rig;
    this.#sheet = sheet;
  }

  /** A call of a tool whose server is killed in the midst of it, and how often it was executed. */
  async call(
    way: Way,
    session: Conversation,
    tool: string,
    params: object = {},
  ): Promise<Cut & { times: number }> {
    const n = (this.#n += 1);
    const notes = this.#rig.notes(way.server);
    const sent = { name: tool, arguments: { n, ms: CALL_MS }, ...params };
    const done = await cut(this.#rig, way, session.ask(n, "tools/call", sent), () =>
      notes.calls().some((call) => call.n === n),
    );
    return { ...done, times: notes.count(n) };
  }

  /** A list, found among the server's own reading by a mark. */
  async list(way: Way, session: Conversation): Promise<Cut> {
    const n = (this.#n += 1);
    const notes = this.#rig.notes(way.server);
    notes.behave({ listMs: CALL_MS });
    const asked = session.ask(n, "tools/list", { _meta: { mark: n } });
    try {
      return await cut(this.#rig, way, asked, () =>
        notes.received().some(({ got }) => {
          const meta = got.params?.["_meta"] as { mark?: number } | undefined;
          return meta?.mark === n;
        }),
      );
    } finally {
      notes.behave({});
    }
  }

  /** What comes of an effect: an error that says that it may have happened, at once, and not a second time. */
  async late(way: Way, session: Conversation, isTimed: boolean): Promise<void> {
    const { outcome, afterMs, times } = await this.call(way, session, "late");
    const { error, status } = outcome;
    // What a broken connection to somebody else's server is called is not ruled.
    const type = isRemote(way) ? (error?.data?.type ?? "none") : "INSTANCE_EXITED";
    const where = way.front === "sse" ? 202 : status === 200 ? 200 : 502;
    this.#sheet.note(
      `${nameOf(way)}: killed in late(${CALL_MS})`,
      `${where} ${type}, mayHaveHappened true, executed 1 times`,
      `${wordsOf(outcome)}, executed ${times} times`,
    );
    const words = `${nameOf(way)}: ms from the signal to its error`;
    if (isTimed)
      this.#sheet.note(words, `at most ${MOST_MS}`, afterMs.toFixed(0), afterMs <= MOST_MS);
    await this.#goesOn(way, session);
  }

  async #goesOn(way: Way, session: Conversation): Promise<void> {
    const n = (this.#n += 1);
    const outcome = await session.ask(n, "tools/call", { name: "note", arguments: { n } });
    this.#sheet.note(`${nameOf(way)}: the next call`, "a result", wordsOf(outcome));
  }

  async slowList(way: Way, session: Conversation): Promise<void> {
    // Of a child that sleeps a list is answered from what it last showed.
    await this.#goesOn(way, session);
    const { outcome } = await this.list(way, session);
    this.#sheet.note(`${nameOf(way)}: killed in a slow tools/list`, "a result", wordsOf(outcome));
  }

  async readByName(way: Way, session: Conversation): Promise<void> {
    const { outcome, times } = await this.call(way, session, "read");
    const found = `${outcome.error === undefined ? "a result" : "an error"}, executed ${times} times`;
    this.#sheet.note(
      `${nameOf(way)}: killed in read(${CALL_MS}) with "reads"`,
      "an error, executed 1 times",
      found,
    );
  }

  /** The call that waits for a start whose first try dies. */
  async waiting(way: Way, session: Conversation): Promise<void> {
    const n = (this.#n += 1);
    await this.#rig.order("stop", way.server);
    this.#rig.notes(way.server).failOnce();
    const outcome = await session.ask(n, "tools/call", { name: "note", arguments: { n } });
    const times = this.#rig.notes(way.server).count(n);
    this.#sheet.note(
      `${nameOf(way)}: a call that waits for a start that fails once`,
      "a result, executed 1 times",
      `${wordsOf(outcome)}, executed ${times} times`,
    );
  }

  async never(way: Way, session: Conversation): Promise<void> {
    const { outcome } = await this.list(way, session);
    this.#sheet.note(
      `${nameOf(way)}: killed in a slow tools/list with "never"`,
      "an error",
      outcome.error === undefined ? "a result" : "an error",
    );
  }

  /** Tools that say that they only read, or may be repeated, once the session was shown that they do. */
  async annotated(way: Way, session: Conversation): Promise<void> {
    const name = `${nameOf(way)} with "annotated"`;
    const unseen = await this.call(way, session, "read");
    this.#sheet.note(
      `${name}: killed in read of a session that was shown no list`,
      "error, executed 1 times",
      `${unseen.outcome.error === undefined ? "result" : "error"}, executed ${unseen.times} times`,
    );
    await session.request("list", "tools/list");
    for (const tool of ["read", "again"]) {
      const from = session.received.length;
      const _meta = { progressToken: `of ${tool}` };
      const { outcome, times } = await this.call(way, session, tool, { _meta });
      const steps = session.received
        .slice(from)
        .filter(({ method }) => method === "notifications/progress")
        .map(({ params }) => Number(params?.["progress"]));
      const isRising = steps.every((step, i) => i === 0 || step > steps[i - 1]!);
      this.#sheet.note(
        `${name}: killed in ${tool}(${CALL_MS})`,
        "a result, sent 2 times, progress rises",
        `${wordsOf(outcome)}, sent ${times} times, progress ${isRising ? "rises" : steps.join(" ")}`,
      );
    }
    const { outcome, times } = await this.call(way, session, "late");
    this.#sheet.note(
      `${name}: killed in late(${CALL_MS})`,
      "error, executed 1 times",
      `${outcome.error === undefined ? "result" : "error"}, executed ${times} times`,
    );
  }

  /** Whoever kills each server that takes it has the error after the third. */
  async threeSendings(way: Way, session: Conversation): Promise<void> {
    const n = (this.#n += 1);
    const notes = this.#rig.notes(way.server);
    await session.request("list for three", "tools/list");
    const asked = session.ask(n, "tools/call", { name: "read", arguments: { n, ms: CALL_MS } });
    asked.catch(() => undefined);
    for (let sending = 1; sending <= 3; sending += 1) {
      await until(() => notes.count(n) === sending, `it was sent ${sending} times`);
      await this.#rig.end(way.server);
    }
    const outcome = await asked;
    this.#sheet.note(
      `${nameOf(way)}: killed in each sending of read(${CALL_MS})`,
      "error, sent 3 times",
      `${outcome.error === undefined ? "result" : "error"}, sent ${notes.count(n)} times`,
    );
  }
}

/** Which ways are gone; all of them where nothing is said. */
export interface InFlightOptions {
  ways?: readonly Way[];
  /** How long the error takes is judged. */
  isTimed: boolean;
}

const isRemote = ({ kind }: Way): boolean => kind.startsWith("remote");

/** Line 2: calls and lists whose server is killed in the midst of them. */
export async function killDuringCalls(
  start: StartGateway,
  { ways = WAYS, isTimed }: InFlightOptions,
): Promise<Sheet> {
  const sheet = new Sheet();
  const some = ways.filter((way) => !isRemote(way) && way.kind !== "stdio-session");
  const renamed = (mark: string): Way[] =>
    some.map((way) => ({ ...way, server: `${way.server}-${mark}` }));
  const [never, annotated] = [renamed("never"), renamed("annotated")];
  const rig = await Rig.open(start, {
    ...planOf(ways),
    ...planOf(never, { more: { resend: "never" } }),
    ...planOf(annotated, { more: { resend: "annotated" } }),
  });
  const cuts = new Cuts(rig, sheet);
  type Look = (way: Way, session: Conversation) => Promise<void>;
  const looks = (way: Way, ...of: Look[]) => ({ way, of });
  try {
    const all = [
      ...ways.map((way) =>
        looks(
          way,
          (...args) => cuts.late(...args, isTimed),
          (...args) => cuts.readByName(...args),
          // A remote is not there again at once, and its refusal is an error, not a wait.
          ...(isRemote(way) ? [] : [cuts.slowList.bind(cuts), cuts.waiting.bind(cuts)]),
        ),
      ),
      ...never.map((way) => looks(way, cuts.never.bind(cuts))),
      ...annotated.map((way) =>
        looks(way, cuts.annotated.bind(cuts), cuts.threeSendings.bind(cuts)),
      ),
    ];
    await atMost(LANES, all, async ({ way, of }) => {
      // After one failure the session may be over; the next look has one of its own.
      for (const look of of)
        await sheet.look(nameOf(way), async () => {
          const session = await rig.session(way.server, way.front);
          await look(way, session);
          session.close();
        });
    });
  } finally {
    await rig.close();
  }
  return sheet;
}
