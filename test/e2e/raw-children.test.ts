import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { daemonFolder } from "../helpers/daemon.ts";
import { call, fixture, json } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { missingFromAnswers, say } from "../helpers/raw-bytes.ts";
import { until } from "../helpers/until.ts";
import { HEAD_CASES, RAW_CASES } from "./raw-cases.ts";
import type { Door, RawCase } from "./raw-cases.ts";

interface Message {
  method?: string;
  params?: { name?: string; arguments?: { message?: string } };
}

interface Entry {
  got?: Message;
  ended?: string;
}

/** The greeting, and what follows when a client leaves before its answer has come. */
const BESIDE_CALLS = /^(?:initialize|notifications\/(?:initialized|cancelled))$/;

/** What a server has written down, read on from where it was read to. */
class Recorded {
  readonly file: string;
  /** So many of its calls were looked at. */
  seen = 0;
  #read = 0;
  readonly entries: Entry[] = [];

  constructor(file: string) {
    this.file = file;
  }

  get calls(): string[] {
    const text = existsSync(this.file) ? readFileSync(this.file, "utf8") : "";
    const whole = text.slice(this.#read, text.lastIndexOf("\n") + 1);
    this.#read += whole.length;
    for (const line of whole.split("\n").filter(Boolean))
      this.entries.push(JSON.parse(line) as Entry);
    // Whatever else it gets counts, so that nothing stays unseen.
    return this.entries
      .filter(({ got }) => !BESIDE_CALLS.test(got?.method ?? ""))
      .map(({ got, ended }) => got?.params?.arguments?.message ?? JSON.stringify(got ?? ended));
  }
}

const lines = (headers: readonly string[]): string =>
  headers.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join("");

const statusesOf = (raw: RawCase, door: Door): number[] =>
  raw.answers.map((answer) => (answer === "ok" ? door.ok : answer));

const lastWords = ({ path, head }: Door, body: string): string =>
  `POST ${path} HTTP/1.1\r\nhost: localhost\r\n${head}content-length: ${body.length}\r\n\r\n${body}`;

interface Way {
  name: string;
  door: Door;
  record: Recorded;
}

/** A daemon with a server of each kind that writes down what it gets. */
async function rigOf(t: Parameters<typeof daemonFolder>[0], config: object = {}) {
  const dir = daemonFolder(t);
  const records = new Map<string, Recorded>();
  const recording = (name: string, type: "stdio" | "http") => {
    const record = new Recorded(join(dir, `${name}.jsonl`));
    records.set(name, record);
    const recipe = fixture("http", "witness", "--record", record.file);
    const args = recipe["args"] as string[];
    return type === "http"
      ? recipe
      : { ...recipe, type, args: args.filter((arg) => !/^(?:--port|\$\{port\})$/.test(arg)) };
  };
  const servers = {
    one: recording("one", "stdio"),
    two: recording("two", "stdio"),
    three: recording("three", "http"),
  };
  const limits = { bodyBytes: "64K" };
  const rig = await startForAlice(t, servers, { limits, ...config }, { dir });
  return { rig, recordOf: (name: keyof typeof servers) => records.get(name)! };
}

test("whatever bytes come in, a child gets the authorised calls and nothing else", async (t) => {
  const { rig, recordOf } = await rigOf(t);
  const head = lines([...rig.auth, ...json]);
  const overMcp = async (server: "two" | "three"): Promise<Way> => ({
    name: `mcp ${server}`,
    door: { path: `/u/alice/${server}/mcp`, head: head + lines(await rig.http(server)), ok: 200 },
    record: recordOf(server),
  });
  const ways: Way[] = [
    {
      name: "sse one",
      door: { path: (await rig.sse("one")).endpoint, head, ok: 202 },
      record: recordOf("one"),
    },
    await overMcp("two"),
    await overMcp("three"),
  ];
  const failures: string[] = [];
  const play = async ({ name, door, record }: Way, raw: RawCase): Promise<void> => {
    const label = (n: number) => `${name}: ${raw.name} ${n}`;
    const body = (n: number) => call(label(n), "echo", { message: label(n) });
    const heard = await say(rig.daemon.port, raw.bytes(door, body), raw.answers.length, raw.leaves);
    const where = `${name}: ${raw.name}: ${heard.text.slice(0, 400)}`;
    assert.deepEqual(heard.statuses, statusesOf(raw, door), where);
    // What was on its way to the child before this one has come when this one has.
    const last = await say(rig.daemon.port, lastWords(door, body(9)), 1);
    assert.deepEqual(last.statuses, [door.ok], where);
    const expected = [...(raw.arrives ?? []), 9].map(label).toSorted();
    // From where the case before this one ended: one that comes late shows too.
    const fresh = () => record.calls.slice(record.seen);
    await until(() => fresh().length >= expected.length, `all is there: ${where}`);
    const got = fresh().toSorted();
    record.seen += got.length;
    assert.deepEqual(got, expected, where);
  };
  await Promise.all(
    ways.map(async (way) => {
      for (const raw of RAW_CASES)
        await play(way, raw).catch((error: Error) => failures.push(error.message));
    }),
  );
  assert.deepEqual(failures, []);
  for (const { name, record } of ways) assert.equal(record.calls.length, record.seen, name);
  t.diagnostic(`${RAW_CASES.length} cases over ${ways.length} children`);
});

/** The same, but for those that this door answers in another way. */
const expectedOf = (raw: RawCase, door: Door, otherwise: { [name: string]: number }): number[] =>
  otherwise[raw.name] === undefined ? statusesOf(raw, door) : [otherwise[raw.name]!];

const PUT_AND_ALIKE = ["PUT", "PATCH", "TRACE", "PROPFIND", "QUERY", "PURGE", "M-SEARCH"];
/** /health is open to all, whatever else they send, and knows no other method. */
const OF_HEALTH = {
  "a second Authorization": 200,
  "Expect: 100-continue with a wrong key: no word to go on": 200,
  "the absolute form of its own address": 200,
  "the absolute form of another": 200,
  "the method HEAD": 200,
  ...Object.fromEntries(PUT_AND_ALIKE.map((method) => [`the method ${method}`, 404])),
};

test("whatever the request line and the headers are, a request without a body is one request and no child's", async (t) => {
  const { rig, recordOf } = await rigOf(t);
  const session = await rig.http("two");
  await rig.sse("one");
  const head = lines([...rig.auth, ...json]);
  const inSession = head + lines(session);
  // What would be a call, were it taken for a request of its own.
  const hidden = lastWords({ path: "/u/alice/two/mcp", head: inSession, ok: 200 }, call(1, "echo"));
  const doors: [Door, { [name: string]: number }][] = [
    [{ method: "GET", path: "/health", head, ok: 200 }, OF_HEALTH],
    [{ method: "GET", path: "/u/alice/one/sse", head, ok: 200 }, {}],
    [{ method: "DELETE", path: "/u/alice/two/mcp", head: inSession, ok: 200 }, {}],
  ];
  const play = async (door: Door, otherwise: { [name: string]: number }): Promise<void> => {
    const plain = RAW_CASES[0]!.bytes(door, () => hidden);
    for (const raw of HEAD_CASES) {
      const bytes = raw.bytes(door, () => hidden);
      // Alice's session lives through every refusal, so what is taken would be its end.
      if (bytes === plain || (door.method === "DELETE" && raw.answers.includes("ok"))) continue;
      const heard = await say(rig.daemon.port, bytes, 1);
      // Nobody waits for the body, so nobody is told to go on with it.
      const expected = expectedOf(raw, door, otherwise).filter((status) => status !== 100);
      const where = `${door.method} ${door.path}: ${raw.name}: ${heard.text.slice(0, 400)}`;
      assert.deepEqual(heard.statuses, expected, where);
      assert.deepEqual(missingFromAnswers(heard.text), [], where);
    }
  };
  await Promise.all(doors.map(async ([door, otherwise]) => await play(door, otherwise)));
  const last = call("last", "echo", { message: "last" });
  assert.equal((await rig.post("/u/alice/two/mcp", last, session)).status, 200);
  assert.deepEqual(recordOf("one").calls, []);
  assert.deepEqual(recordOf("two").calls, ["last"]);
});

/** The control API has larger bodies, and reads a body before it looks at the path. No page but its own may call it. */
const OF_CONTROL = {
  "a page on another port of this machine": 403,
  "chunks over the limit": 400,
  "a request in the body of one that goes nowhere": 400,
  "a request in the body of another method": 400,
  "the absolute form of its own address": 201,
  "the absolute form of another": 201,
  "an encoded letter": 201,
  "the method HEAD": 200,
  "the method OPTIONS": 405,
};

test("whatever bytes come in at the control port, the admin's requests are carried out and nothing else", async (t) => {
  const { rig } = await rigOf(t, { admin: { host: "127.0.0.1", port: 0 } });
  const { admin, dataDir } = rig.daemon;
  const port = admin?.port ?? assert.fail();
  const token = readFileSync(join(dataDir, "admin.token"), "utf8").trim();
  const auth = ["authorization", `Bearer ${token}`];
  const path = "/api/users/alice/keys";
  const door: Door = { path, head: lines([...auth, ...json]), ok: 201 };
  const made: string[] = [];
  for (const [i, raw] of RAW_CASES.entries()) {
    const body = (n: number) => JSON.stringify({ label: `${i} ${n}` });
    const bytes = raw.bytes(door, body);
    // A length that is allowed here, and a path that has no other form here.
    if (raw.name === "a length over the limit" || raw.name === "a doubled slash") continue;
    const heard = await say(port, bytes, raw.answers.length, raw.leaves);
    const expected = expectedOf(raw, door, OF_CONTROL);
    assert.deepEqual(heard.statuses, expected, `${raw.name}: ${heard.text.slice(0, 400)}`);
    assert.deepEqual(missingFromAnswers(heard.text, false), [], raw.name);
    const arrives = expected.includes(door.ok) ? (raw.arrives ?? [1]) : [];
    made.push(...arrives.map((n) => `${i} ${n}`));
  }
  const { body } = await ask(port, { path, headers: auth });
  const { keys } = JSON.parse(body) as { keys: { label: string | null }[] };
  const labels = keys.flatMap(({ label }) => label ?? []);
  assert.deepEqual(labels.toSorted(), made.toSorted());
});
