import { setTimeout as delay } from "node:timers/promises";
import type { Conversation } from "../helpers/conversation.ts";
import type { Kind } from "../helpers/notes-calls.ts";
import { until } from "../helpers/until.ts";
import { Load } from "./load.ts";
import { FRONTS, Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";
import { Sheet } from "./sheet.ts";

const CALL_MS = 200;
const PER_SECOND = 50;
const WATCH_MS = 10;
/** How long a child may drain once its last call is over. */
const MOST_DRAINING_MS = 1000;
/** What a busy machine may add to `drainTimeout`. */
const SLACK_MS = 500;

export interface SwitchOptions {
  kinds?: readonly Kind[];
  /** Of each kind of switch. */
  switches: number;
  drainTimeout: string;
  isTimed: boolean;
}

/** Line 4: servers that are replaced under load. */
export async function replaceUnderLoad(
  start: StartGateway,
  { kinds = ["stdio", "sse", "http"], switches, drainTimeout, isTimed }: SwitchOptions,
): Promise<Sheet> {
  const sheet = new Sheet();
  const calm = kinds.map((kind) => `by-${kind}`);
  const cut = kinds.map((kind) => `by-${kind}-cut`);
  const plans = kinds.flatMap((kind) => [
    [`by-${kind}`, { kind }],
    [`by-${kind}-cut`, { kind, more: { drainTimeout } }],
  ]);
  const rig = await Rig.open(start, Object.fromEntries(plans));
  const drainMs = Number.parseFloat(drainTimeout) * 1000;
  try {
    await Promise.all([
      ...calm.map((server) =>
        sheet.look(server, () => replace(rig, server, switches, { sheet, isTimed })),
      ),
      ...cut.map((server) =>
        sheet.look(server, () => cutShort(rig, server, isTimed ? drainMs : undefined, sheet)),
      ),
    ]);
  } finally {
    await rig.close();
  }
  return sheet;
}

async function fourSessions(rig: Rig, server: string): Promise<Conversation[]> {
  const fronts = [...FRONTS, ...FRONTS];
  return await Promise.all(fronts.map((front) => rig.session(server, front)));
}

interface Judge {
  sheet: Sheet;
  isTimed: boolean;
}

interface Switched {
  /** When the new one was first seen to take over. */
  at: number;
  /** Both were seen at the same time. */
  sawTwo: boolean;
  oldPid: number;
  /** When the old one was first seen no more. */
  goneAt: number;
}

/** Gives the order, and watches `status` until there is one row again. */
async function watchSwitch(
  rig: Rig,
  server: string,
  order: () => Promise<void>,
): Promise<Switched> {
  const [before] = await rig.rows(server);
  const oldPid = before?.pid ?? 0;
  const switched: Switched = { at: 0, sawTwo: false, oldPid, goneAt: 0 };
  const ordered = order();
  ordered.catch(() => undefined);
  const deadline = performance.now() + 30_000;
  for (;;) {
    const rows = await rig.rows(server);
    const isNew = rows.some(({ pid, state }) => state === "ready" && pid !== oldPid);
    if (isNew && switched.at === 0) switched.at = performance.now();
    if (rows.length > 1) switched.sawTwo = true;
    if (isNew && rows.length === 1) break;
    if (performance.now() > deadline) throw new Error(`${server}: one row in vain`);
    await delay(WATCH_MS);
  }
  switched.goneAt = performance.now();
  await ordered;
  return switched;
}

async function replace(rig: Rig, server: string, switches: number, judge: Judge): Promise<void> {
  const { sheet } = judge;
  const sessions = await fourSessions(rig, server);
  const load = new Load(sessions, PER_SECOND, CALL_MS);
  try {
    await until(() => load.calls.length > 0, "the load has begun");
    const restarts: Switched[] = [];
    for (let i = 0; i < switches; i += 1)
      restarts.push(
        await watchSwitch(rig, server, () => rig.order("restart", server, "--graceful")),
      );
    note(judge, `${server}: restart --graceful`, restarts, load);
    const changes: [Switched, string][] = [];
    for (let i = 0; i < switches; i += 1) {
      const token = `token-${i}-of-${server}`;
      changes.push([await watchSwitch(rig, server, () => rig.setToken(server, token)), token]);
    }
    note(
      judge,
      `${server}: token set`,
      changes.map(([switched]) => switched),
      load,
    );
    await sheet.look(server, () => failToStart(rig, server, load, sheet));
    await load.stop();
    const late = changes.flatMap(([{ at }, token], i) => {
      const nextAt = changes[i + 1]?.[0].at ?? Number.POSITIVE_INFINITY;
      return load.calls.filter(
        (call) =>
          call.failure === undefined &&
          call.sentAt > at &&
          call.sentAt < nextAt &&
          // The next order may have been carried out already, and not been seen.
          call.token !== token &&
          call.token !== changes[i + 1]?.[1],
      );
    });
    sheet.note(`${server}: calls begun after a switch with an old token`, 0, late.length);
    const { failures } = load;
    const words = `${failures.length} of ${load.calls.length}`;
    const found = failures.length > 0 ? `${words}; ${failures[0]}` : words;
    sheet.note(`${server}: calls that failed`, `0 of ${load.calls.length}`, found);
  } finally {
    await load.stop();
  }
}

function note(
  { sheet, isTimed }: Judge,
  what: string,
  switched: readonly Switched[],
  load: Load,
): void {
  const both = switched.filter(({ sawTwo }) => sawTwo).length;
  sheet.note(`${what}, two rows seen`, switched.length, both);
  if (!isTimed) return;
  const longest = Math.max(
    ...switched.map(({ oldPid, goneAt }) => {
      const last = load.calls.filter(({ pid }) => pid === oldPid).map(({ endedAt }) => endedAt);
      return goneAt - Math.max(...last);
    }),
  );
  const words = `${what}, ms of draining after the last call`;
  const holds = longest <= MOST_DRAINING_MS;
  sheet.note(words, `at most ${MOST_DRAINING_MS}`, longest.toFixed(0), holds);
}

/** A recipe that fails to start, and is mended. */
async function failToStart(rig: Rig, server: string, load: Load, sheet: Sheet): Promise<void> {
  const [before] = await rig.rows(server);
  const failures = load.failures.length;
  await rig.reload(
    server,
    (entry) => (entry["args"] = [...(entry["args"] as string[]), "--fails"]),
  );
  let told = "";
  try {
    const isNamed = async () =>
      (told = await rig.gateway.doctor("alice")).includes("fails as asked");
    await until(isNamed, "doctor names it", 10_000).catch(() => undefined);
    const calls = load.calls.length;
    await until(() => load.calls.length > calls + PER_SECOND / 2, "calls go on");
    const rows = await rig.rows(server);
    const served = load.calls.slice(calls).every(({ pid }) => pid === before?.pid);
    sheet.note(
      `${server}: a reloaded recipe that fails to start`,
      "0 failed, served by the old one, doctor names it",
      `${load.failures.length - failures} failed, served by ${served ? "the old one" : "another"}, doctor ${
        told.includes("fails as asked") ? "names it" : `says ${told}; ${JSON.stringify(rows)}`
      }`,
    );
  } finally {
    await rig.reload(server, (entry) => (entry["args"] = (entry["args"] as string[]).slice(0, -1)));
  }
}

/** A call that is longer than `drainTimeout`. */
async function cutShort(
  rig: Rig,
  server: string,
  drainMs: number | undefined,
  sheet: Sheet,
): Promise<void> {
  for (const front of FRONTS) {
    const session = await rig.session(server, front);
    const n = front === "sse" ? 1 : 2;
    const params = { name: "late", arguments: { n, ms: 60_000 } };
    const asked = session.ask(n, "tools/call", params);
    const answered = asked.then((outcome) => ({ outcome, at: performance.now() }));
    answered.catch(() => undefined);
    await until(() => rig.notes(server).count(n) === 1, "the call has begun");
    const { at: switchedAt } = await watchSwitch(rig, server, () =>
      rig.order("restart", server, "--graceful"),
    );
    const { outcome, at } = await answered;
    const { error } = outcome;
    sheet.note(
      `${server} by /${front}: a call of 60 s`,
      "INSTANCE_EXITED, mayHaveHappened true",
      `${error?.data?.type ?? "a result"}, mayHaveHappened ${error?.data?.mayHaveHappened}`,
    );
    if (drainMs === undefined) continue;
    const afterMs = at - switchedAt;
    sheet.note(
      `${server} by /${front}: ms from the switch to its error`,
      `${drainMs} to ${drainMs + SLACK_MS}`,
      afterMs.toFixed(0),
      afterMs > drainMs - SLACK_MS && afterMs < drainMs + SLACK_MS,
    );
  }
}
