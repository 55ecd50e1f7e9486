import { dirname, join } from "node:path";
import Database from "better-sqlite3";
import { bearer, call, initialize, json } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";
import { nameOf, planOf, waysOf } from "./kills.ts";
import type { Way } from "./kills.ts";
import { Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";
import { Sheet } from "./sheet.ts";

/** By relay and by bridge. */
const BY_ID = waysOf("http by mcp", "stdio by mcp");
/** And by the front whose sessions go on with the last event that the client has. */
const WAYS = [...BY_ID, ...waysOf("stdio by sse")];
const HELD = { isHeld: true };
const MANY = 10_000;
/** Whose first messages are measured. */
const SAMPLES = 20;
const START_MS = 500;
const MESSAGE_MS = 15;
const INITIALIZED = JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" });

/** What a client has of a session that it goes on with after the daemon was killed. */
interface Begun {
  way: Way;
  /** The session's id, or the last event. */
  known: string;
}

/** Line 19: the daemon is killed as soon as it has answered an `initialize`. */
export async function killAfterHello(start: StartGateway, kills: number): Promise<Sheet> {
  const sheet = new Sheet();
  // Nobody answers in the place of a child that starts anew in each life.
  const rig = await Rig.open(start, planOf(WAYS, { more: { manifest: false } }), {}, HELD);
  const there = new Map(WAYS.map((way) => [way, 0]));
  const said = new Set<string>();
  try {
    for (let n = 0; n < kills; n += 1) {
      const way = WAYS[n % WAYS.length]!;
      const begun = await begin(rig, way);
      await rig.succeed("SIGKILL");
      await goOn(rig, begun, n).then(
        () => there.set(way, there.get(way)! + 1),
        (error: Error) => said.add(error.message),
      );
    }
  } finally {
    await rig.close();
  }
  for (const [nth, [way, times]] of [...there].entries())
    sheet.note(
      `${nameOf(way)}: sessions that are there after kill -9 behind their initialize`,
      Math.ceil((kills - nth) / WAYS.length),
      [times, ...said].join("; "),
    );
  return sheet;
}

/** Line 20: what one user begins and never ends, and what so many cost the next daemon. */
export async function keepMany(start: StartGateway): Promise<Sheet> {
  const sheet = new Sheet();
  await sheet.look("sessions that nobody ends", () => beginMany(start, sheet));
  await sheet.look(`${MANY} stored sessions`, () => storeMany(start, sheet));
  return sheet;
}

async function beginMany(start: StartGateway, sheet: Sheet): Promise<void> {
  const rig = await Rig.open(start, planOf(BY_ID));
  try {
    for (let nth = 0; nth < 200; nth += 1) await begin(rig, BY_ID[nth % BY_ID.length]!);
    const listed = (await rig.gateway.cli(["session", "list", "alice"])) as { sessions: unknown[] };
    const words = (rows: number, sessions: number) => `${rows} rows, ${sessions} sessions`;
    sheet.note(
      "200 times initialize by one user, and no DELETE",
      words(128, 128),
      words(withRows(rig, countRows), listed.sessions.length),
    );
  } finally {
    await rig.close();
  }
}

async function storeMany(start: StartGateway, sheet: Sheet): Promise<void> {
  const way = BY_ID[0]!;
  const config = { limits: { sessionsPerUser: 2 * MANY } };
  const rig = await Rig.open(start, planOf([way]), config, HELD);
  try {
    const stored: Begun[] = [];
    for (let n = 0; n < SAMPLES; n += 1) stored.push(await begin(rig, way));
    const few = await startMs(rig);
    await rig.gateway.end("SIGTERM");
    withRows(rig, copyRows);
    const many = await startMs(rig);
    const words = `${many.toFixed(0)} ms, ${few.toFixed(0)} ms with ${SAMPLES}`;
    sheet.note(`${MANY} stored sessions: start`, `at most ${START_MS} ms`, words, many <= START_MS);
    await noteFirstMessages(rig, stored, sheet);
  } finally {
    await rig.close();
  }
}

/** The first messages of sessions that were stored beside those of sessions that have just begun; the child runs. */
async function noteFirstMessages(rig: Rig, stored: readonly Begun[], sheet: Sheet): Promise<void> {
  const way = BY_ID[0]!;
  let n = 0;
  const msOf = async (begun: Begun): Promise<number> => {
    const at = performance.now();
    await goOn(rig, begun, (n += 1));
    return performance.now() - at;
  };
  await msOf(await begin(rig, way));
  const [ofStored, ofFresh]: number[][] = [[], []];
  for (const begun of stored) {
    ofStored!.push(await msOf(begun));
    const fresh = await begin(rig, way);
    await post(rig, fresh, INITIALIZED);
    ofFresh!.push(await msOf(fresh));
  }
  const [one, other] = [medianOf(ofStored!), medianOf(ofFresh!)];
  sheet.note(
    `${MANY} stored sessions: first message of one`,
    `at most ${MESSAGE_MS} ms over a fresh one's`,
    `${one.toFixed(1)} ms, ${other.toFixed(1)} ms of a fresh one`,
    one - other <= MESSAGE_MS,
  );
}

const medianOf = (all: readonly number[]): number =>
  all.toSorted((one, other) => one - other)[all.length >> 1]!;

/** Ends the daemon in good order, where one runs, and times the start of the next. */
async function startMs(rig: Rig): Promise<number> {
  let at = 0;
  await rig.succeed("SIGTERM", () => (at = performance.now()));
  return performance.now() - at;
}

function withRows<T>(rig: Rig, work: (db: Database.Database) => T): T {
  const folder = join(dirname(rig.gateway.configFile), "data");
  const db = new Database(join(folder, "mcp-supervisor.db"));
  try {
    return work(db);
  } finally {
    db.close();
  }
}

const countRows = (db: Database.Database): number =>
  db.prepare<[], number>("SELECT count(*) FROM sessions").pluck().get()!;

/** Copies a row so many times, under names that no client knows. */
function copyRows(db: Database.Database): void {
  const columns =
    "user_id, issuer, credential, server, shape, front, agent, mark, created_at, used_at, detached_at, box";
  db.prepare(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO sessions (hash, ${columns})
     SELECT printf('%064x', i), ${columns} FROM n, (SELECT * FROM sessions LIMIT 1)`,
  ).run(MANY);
}

/** Says `initialize`, and nothing else. */
async function begin(rig: Rig, way: Way): Promise<Begun> {
  if (way.front === "mcp") {
    const { headers, body } = await send(rig, `/u/alice/${way.server}/mcp`, initialize());
    const known = headers["mcp-session-id"];
    if (typeof known !== "string") throw new Error(`no session: ${body}`);
    return { way, known };
  }
  const stream = await openStream(rig, way);
  await send(rig, stream.endpoint!, initialize());
  const last = () => /^id: (.*)\n(?:event: message\n)?data: .*"protocolVersion"/m.exec(stream.text);
  const [, known] = await until(last, "initialize is answered");
  return { way, known: known! };
}

/** Calls a tool in a session that is there still; rejects where it is not, and takes no other for it. */
async function goOn(rig: Rig, begun: Begun, n: number): Promise<void> {
  const body = call("next", "note", { n });
  const { way, known } = begun;
  if (way.front === "mcp") {
    const answer = await post(rig, begun, body);
    if (!answer.includes("result")) throw new Error(answer);
    return;
  }
  const stream = await openStream(rig, way, ["last-event-id", known]);
  const isSame = stream.endpoint!.includes(known.slice(0, known.lastIndexOf(".")));
  if (!isSame) throw new Error("it is another session");
  await send(rig, stream.endpoint!, body);
  await until(() => stream.text.includes('"id":"next","result"'), "it is answered");
  stream.close();
}

async function post(rig: Rig, { way, known }: Begun, body: string): Promise<string> {
  const path = `/u/alice/${way.server}/mcp`;
  return (await send(rig, path, body, ["mcp-session-id", known])).body;
}

const send = async (rig: Rig, path: string, body: string, more: readonly string[] = []) =>
  await ask(portOf(rig), { method: "POST", path, body, headers: [...headersOf(rig), ...more] });

async function openStream(rig: Rig, way: Way, more: readonly string[] = []): Promise<EventStream> {
  const path = `/u/alice/${way.server}/sse`;
  const headers = [...headersOf(rig), ...more];
  const stream = await EventStream.open(portOf(rig), { path, headers });
  await until(() => stream.endpoint, "its endpoint has come");
  return stream;
}

const portOf = ({ gateway }: Rig): number => Number(new URL(gateway.origin).port);

const headersOf = ({ secrets }: Rig): string[] => [...bearer(secrets.get("alice")!), ...json];
