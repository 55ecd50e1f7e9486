import { setTimeout as delay } from "node:timers/promises";
import type { Kind } from "../helpers/notes-calls.ts";
import { bearer, json } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";
import { Rig } from "./rig.ts";
import type { Plan, StartGateway } from "./rig.ts";
import { Sheet } from "./sheet.ts";

const PER_SECOND = 100;
/** So that some are under way when a server ends. */
const CALL_MS = 30;
const SLOW_MS = 200;
/** From the end of a client's connection until its server is told. */
const MOST_MS = 100;
const LONG_MS = 600_000;

/** One ends, one stands still, one is slow. */
const REPLICAS = ["killed", "stopped", "slow"] as const;
/** Two that have a tool of the same name, and not the same. */
const SEARCH = { "mail-a": "subject", "mail-b": "sender" } as const;
const NAMES = [...REPLICAS, ...(Object.keys(SEARCH) as (keyof typeof SEARCH)[])];

export interface ReplicaOptions {
  /** Of the three replicas. */
  kinds?: readonly [Kind, Kind, Kind];
  calls: number;
  /** After so many calls the one that stands still goes on; unless set, at the end. */
  stillFor?: number;
  isTimed: boolean;
}

interface Called {
  n: number;
  sentAt: number;
  status: number;
  body: string;
}

/** Line 13: calls of tools that several servers have, over REST, while these servers fail. */
export async function shareAmongReplicas(
  start: StartGateway,
  { kinds = ["http", "stdio", "sse"], calls, stillFor = calls, isTimed }: ReplicaOptions,
): Promise<Sheet> {
  const sheet = new Sheet();
  const all: Kind[] = [...kinds, "stdio", "stdio"];
  const plans = NAMES.map((name, i): [string, Plan] => [name, { kind: all[i]! }]);
  const rig = await Rig.open(start, Object.fromEntries(plans));
  try {
    for (const [name, key] of Object.entries(SEARCH)) {
      const inputSchema = { type: "object", properties: { [key]: { type: "string" } } };
      rig.notes(name).showTools(JSON.stringify([{ name: "search", inputSchema }]));
    }
    const calling = new Calling(rig);
    await sheet.look("clients that hang up", () => hangUp(rig, calling, sheet, isTimed));
    await sheet.look("replicas", () => failOneByOne(rig, calling, { calls, stillFor }, sheet));
  } finally {
    await rig.close();
  }
  return sheet;
}

/** Calls of alice's by `POST /tools`. */
class Calling {
  readonly done: Called[] = [];
  readonly #rig: Rig;
  #n = 0;

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  /** Calls the tool with a number of its own. */
  async call(method: string, args: object = {}, server?: string): Promise<Called> {
    const n = (this.#n += 1);
    const sentAt = performance.now();
    const strict = server !== undefined;
    const { status, body } = await ask(this.#port, {
      method: "POST",
      path: "/tools",
      headers: this.#headers,
      body: JSON.stringify({ method, args: { ...args, n }, server, strict }),
    });
    const called = { n, sentAt, status, body };
    this.done.push(called);
    return called;
  }

  /** Begins a call that takes for ever; returns its number, and what hangs up. */
  begin(server: string): { n: number; leave: () => void } {
    const n = (this.#n += 1);
    const client = new AbortController();
    const body = { method: "late", args: { ms: LONG_MS, n }, server, strict: true };
    const { signal } = client;
    const [name, value] = this.#headers as [string, string];
    const headers = { [name]: value, "content-type": "application/json" };
    const url = `${this.#rig.gateway.origin}/tools`;
    const sent = fetch(url, { method: "POST", headers, body: JSON.stringify(body), signal });
    sent.catch(() => undefined);
    return { n, leave: () => client.abort() };
  }

  get #port(): number {
    return Number(new URL(this.#rig.gateway.origin).port);
  }

  get #headers(): string[] {
    return [...bearer(this.#rig.secrets.get("alice")!), ...json];
  }
}

async function hangUp(rig: Rig, calling: Calling, sheet: Sheet, isTimed: boolean): Promise<void> {
  for (const server of REPLICAS) {
    await calling.call("note", {}, server);
    const { n, leave } = calling.begin(server);
    const notes = rig.notes(server);
    await until(() => notes.count(n) === 1, "the call is under way");
    const isCall = (params: Record<string, unknown> = {}): boolean =>
      (params["arguments"] as { n?: number } | undefined)?.n === n;
    const id = notes.received().find(({ got }) => isCall(got.params))?.got.id;
    const leftAt = performance.now();
    leave();
    const isTold = (): boolean =>
      notes
        .received()
        .some(
          ({ got }) => got.method === "notifications/cancelled" && got.params?.["requestId"] === id,
        );
    await until(isTold, `${server} is told`);
    const afterMs = performance.now() - leftAt;
    const found = isTimed ? `${afterMs.toFixed(0)} ms` : "told";
    const isSoon = !isTimed || afterMs <= MOST_MS;
    sheet.note(`${server}: told that a client has hung up`, `within ${MOST_MS} ms`, found, isSoon);
  }
}

async function failOneByOne(
  rig: Rig,
  calling: Calling,
  { calls, stillFor }: { calls: number; stillFor: number },
  sheet: Sheet,
): Promise<void> {
  for (const server of NAMES) await calling.call(server in SEARCH ? "search" : "note", {}, server);
  const ofSearch = rig.notes("mail-b").calls().length;
  calling.done.length = 0;
  rig.notes("slow").behave({ lateMs: SLOW_MS });
  const [stopped] = await rig.pids("stopped");
  const open = new Set<Promise<unknown>>();
  const send = (method: string, args: object): void => {
    const call = calling.call(method, args).finally(() => open.delete(call));
    open.add(call);
  };
  const half = Math.floor(calls / 2);
  let goneAt = Infinity;
  let killed: Promise<void> | undefined;
  const begun = performance.now();
  for (let i = 0; i < calls; i += 1) {
    if (i === Math.floor(calls / 4))
      killed = rig.end("killed").then(() => void (goneAt = performance.now()));
    if (i === half) process.kill(stopped!, "SIGSTOP");
    if (i === half + stillFor) process.kill(stopped!, "SIGCONT");
    send("late", { ms: CALL_MS });
    if (i % 10 === 0) send("search", { subject: "x" });
    await delay(Math.max(0, begun + (i * 1000) / PER_SECOND - performance.now()));
  }
  await killed;
  const perSecond = calls / ((performance.now() - begun) / 1000);
  const isLeft = async (): Promise<boolean> => {
    const rows = await rig.rows("stopped");
    return open.size === rows.reduce((sum, { inFlight }) => sum + inFlight, 0);
  };
  await until(isLeft, "all are answered but those of the one that stands still");
  const waiting = open.size;
  process.kill(stopped!, "SIGCONT");
  await Promise.all(open);
  judge(rig, calling.done, goneAt, sheet);
  const found = `${waiting} of ${calls} at ${perSecond.toFixed(0)} a second`;
  sheet.note(
    "calls that wait at the end for the one that stands still",
    "few",
    found,
    waiting < calls / 4,
  );
  const others = rig.notes("mail-b").calls().length - ofSearch;
  sheet.note("calls of search that the other server of that name got", 0, others);
}

function judge(rig: Rig, done: readonly Called[], goneAt: number, sheet: Sheet): void {
  const executed = new Map(NAMES.map((name) => [name, timesOf(rig, name)]));
  const timesAt = (name: (typeof NAMES)[number], n: number): number =>
    executed.get(name)!.get(n) ?? 0;
  const times = (n: number): number => NAMES.reduce((sum, name) => sum + timesAt(name, n), 0);
  const failed = done.filter(({ status }) => status !== 200);
  const others = failed.filter(
    ({ n, sentAt, body }) =>
      !body.includes("the tool may have run") || sentAt > goneAt || times(n) > timesAt("killed", n),
  );
  sheet.note(
    "calls that failed, but those under way on the one that was killed",
    `0 of ${done.length}`,
    [`${others.length} of ${done.length}`, ...others.slice(0, 1).map(({ body }) => body)].join(),
  );
  const broken = failed.length - others.length;
  sheet.note("calls under way on the one that was killed", "few", broken, broken <= 10);
  const twice = done.filter(({ n }) => times(n) > 1);
  sheet.note("calls that were executed more than once", 0, twice.length);
  const answered = done.filter(({ status }) => status === 200);
  const never = answered.filter(({ n }) => times(n) === 0);
  sheet.note("calls that were answered and not executed", 0, never.length);
  const served = REPLICAS.filter((name) => answered.some(({ n }) => timesAt(name, n) > 0));
  sheet.note("replicas that have answered", REPLICAS.join(), served.join());
}

/** How often the server has executed each call, by its number. */
function timesOf(rig: Rig, server: string): ReadonlyMap<number, number> {
  const times = new Map<number, number>();
  for (const { n = 0 } of rig.notes(server).calls()) times.set(n, (times.get(n) ?? 0) + 1);
  return times;
}
