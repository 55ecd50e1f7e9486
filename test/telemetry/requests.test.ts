import assert from "node:assert/strict";
import { test } from "node:test";
import { Journal } from "../../src/telemetry/journal.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import type { LogLevel } from "../../src/telemetry/logger.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { Requests } from "../../src/telemetry/requests.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import type { RequestRecord } from "../../src/telemetry/request-record.ts";
import { useOwnClock } from "../helpers/own-clock.ts";

let count = 0;

function record(changes: Partial<RequestRecord> = {}): RequestRecord {
  count += 1;
  return {
    requestId: `life-${String(count).padStart(7, "0")}`,
    at: 1_700_000_000_000,
    route: "mcp",
    method: "POST",
    path: "/u/alice/mcp",
    status: 200,
    durationMs: 12.3456,
    remoteAddress: "127.0.0.1",
    userAgent: "client/1.0",
    user: "alice",
    pathUser: "alice",
    server: "mail",
    tool: null,
    keyLabel: null,
    generation: 1,
    bytesIn: 0,
    failure: null,
    ...changes,
  };
}

const refusal = { code: "KEY_INVALID", message: "this access key is not valid", details: [] };

const QUOTED = `${'"'.repeat(15)}quoted-0123456789`;

function rig(level: LogLevel = "info") {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const scrubber = new Scrubber();
  scrubber.set("alice/mail", "tok_0123456789abcdef");
  scrubber.set("bob/mail", QUOTED);
  const log = createLogger(level, { scrubber, destination });
  const journal = new Journal();
  const metrics = new Metrics({ perUser: false });
  return { lines, journal, metrics, requests: new Requests({ log, journal, metrics, scrubber }) };
}

test("a request is one line of JSON with what an admin looks for", () => {
  const { lines, requests } = rig();
  const { requestId } = record();
  requests.ended(record({ requestId, tool: "search" }));
  const { timestamp, pid, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
  assert.match(String(timestamp), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.equal(pid, process.pid);
  assert.deepEqual(rest, {
    level: "info",
    requestId,
    request: "POST /u/alice/mcp",
    status_code: 200,
    execution_time_ms: 12.35,
    remote_addr: "127.0.0.1",
    user_agent: "client/1.0",
    user: "alice",
    server: "mail",
    tool: "search",
    message: "request",
  });
});

test("nothing that a client sends makes a line long, breaks it or forges another one", () => {
  const { lines, requests } = rig();
  const evil = [
    "a".repeat(2 ** 20),
    "\u0001\u001b[2J\u0085\u009f".repeat(10_000),
    '"}\n{"level":"fatal","message":"forged"}\n',
    "\\".repeat(500),
    "\u2028\u2029\ud800é😀\0\r\n\t".repeat(100),
  ];
  for (const text of evil) {
    requests.ended(
      record({ path: text, userAgent: text, tool: text, method: text, remoteAddress: text }),
    );
    requests.ended(record({ user: null, failure: refusal, path: text, userAgent: text }));
  }
  assert.equal(lines.length, 2 * evil.length);
  for (const line of lines) {
    assert.ok(line.length <= 1024, `${line.length} bytes`);
    assert.match(line, /^[\x20-\x7e]+\n$/);
    assert.equal((JSON.parse(line) as { message: string }).message, "request");
  }
});

test("an agent is written the same whoever came before", () => {
  const { lines, requests } = rig();
  const long = "c".repeat(5000);
  for (const userAgent of ["a", "b", "b", long, long, 'x"', 'x"'])
    requests.ended(record({ userAgent }));
  const said = lines.map((line) => (JSON.parse(line) as { user_agent: string }).user_agent);
  const cut = `${"c".repeat(159)}~`;
  assert.deepEqual(said, ["a", "b", "b", cut, cut, 'x"', 'x"']);
});

test("of a secret that is cut off with its line nothing is left", () => {
  const { lines, requests } = rig();
  for (const secret of ["tok_0123456789abcdef", `mcps_${"aB3".repeat(12)}`])
    for (let before = 120; before < 210; before += 3) {
      const text = `${"-".repeat(before)}${secret}`;
      requests.ended(record({ path: text, userAgent: text, tool: text.slice(80) }));
    }
  assert.doesNotMatch(lines.join(""), /tok_|mcps_|cdef|aB3/);
});

test("of a secret that is cut off because its escapes take room nothing is left", () => {
  const { lines, requests } = rig();
  for (let before = 60; before < 130; before += 3) {
    const text = `${"-".repeat(before)}${QUOTED}`;
    requests.ended(record({ path: text, userAgent: text, tool: text.slice(40) }));
  }
  assert.doesNotMatch(lines.join(""), /quoted/);
});

test("the log level decides, and failures of ours are warnings", () => {
  const { lines, requests } = rig("warn");
  requests.ended(record());
  requests.ended(record({ status: 401, user: null, failure: refusal }));
  requests.ended(
    record({ status: 502, failure: { code: "INSTANCE_EXITED", message: "exited", details: [] } }),
  );
  assert.equal(lines.length, 1);
  const { level, code, reason } = JSON.parse(lines[0]!) as Record<string, string>;
  assert.deepEqual([level, code, reason], ["warn", "INSTANCE_EXITED", "exited"]);
});

test("a stranger who knocks all day fills neither the log nor the journal of the users", (t) => {
  let now = 1000;
  useOwnClock(t, () => now);
  const { lines, journal, requests } = rig();
  const own = record({ status: 404, failure: { ...refusal, code: "SESSION_NOT_FOUND" } });
  requests.ended(own);
  for (let second = 0; second < 60; second += 1) {
    for (let i = 0; i < 300; i += 1)
      requests.ended(record({ status: 401, user: null, pathUser: "alice", failure: refusal }));
    now += 1000;
  }
  const bytes = lines.reduce((sum, { length }) => sum + length, 0);
  assert.ok(bytes < 1024 * 1024, `${bytes} bytes in a minute`);
  assert.match(lines.join(""), /"untold":\d+/);
  assert.equal(journal.find(own.requestId), own);
  assert.ok(journal.failuresOf("alice").includes(own));
});

test("one user's client in a loop does not push out what others met", () => {
  const { journal, requests } = rig();
  const failure = { ...refusal, code: "SESSION_NOT_FOUND" };
  const bobs = record({ user: "bob", pathUser: "bob", status: 404, failure });
  requests.ended(bobs);
  for (let i = 0; i < 1000; i += 1) requests.ended(record({ status: 404, failure }));
  const last = record({ status: 404, failure });
  requests.ended(last);
  assert.deepEqual(journal.failuresOf("bob"), [bobs]);
  assert.equal(journal.failuresOf("alice")[0], last);
  assert.equal(journal.failuresOf("alice").length, 50);
});

test("the last good request of a user is known", () => {
  const { journal, requests } = rig();
  requests.ended(record());
  const last = record();
  requests.ended(last);
  requests.ended(record({ user: "bob" }));
  assert.equal(journal.lastGoodOf("alice"), last);
  assert.equal(journal.find(last.requestId), last);
  assert.equal(journal.find("unknown"), undefined);
});
