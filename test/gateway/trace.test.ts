import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import type { Audit, AuditRow } from "../../src/audit/audit.ts";
import { Trace } from "../../src/gateway/trace.ts";
import { peek } from "../../src/mcp/client-body.ts";
import { Journal } from "../../src/telemetry/journal.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { Requests } from "../../src/telemetry/requests.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import { call, rpc } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";

const ALICE = {
  user: "alice",
  issuer: "key",
  credentialId: "k1",
  subject: "alice",
  label: "laptop",
  expiresAt: null,
};

interface Told {
  /** The line of the request in the log; undefined where it has none. */
  line: Record<string, unknown> | undefined;
  /** Other lines of the log. */
  warnings: Record<string, unknown>[];
  rows: AuditRow[];
  journal: Journal;
  metrics: Metrics;
}

type Handle = (trace: Trace, res: ServerResponse) => void;

/** The daemon's end of one request, which `handle` answers. */
async function open(t: TestContext, handle: Handle) {
  const lines: string[] = [];
  const log = createLogger("info", { destination: { write: (line) => void lines.push(line) } });
  const rows: AuditRow[] = [];
  const audit = { add: (row: AuditRow) => void rows.push(row) } as unknown as Audit;
  const journal = new Journal();
  const metrics = new Metrics({ perUser: false });
  t.after(() => metrics.close());
  const requests = new Requests({ log, journal, metrics, scrubber: new Scrubber() });
  let isOver = false;
  const { url } = await serve(t, (req, res) => {
    const trace = new Trace({ audit, log, requests, address: "192.0.2.7" }, req, res, "life-1");
    trace.atEnd(() => (isOver = true));
    handle(trace, res);
  });
  const told = async (): Promise<Told> => {
    await until(() => isOver, "the request is over");
    const all = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    return {
      line: all.find(({ message }) => message === "request"),
      warnings: all.filter(({ message }) => message !== "request"),
      rows,
      journal,
      metrics,
    };
  };
  return { port: Number(url.port), journal, told };
}

/** Posts to that handler, and resolves with what was told of it. */
async function post(t: TestContext, handle: Handle): Promise<Told> {
  const { port, told } = await open(t, handle);
  const headers = ["user-agent", "client/1.0"];
  await ask(port, { method: "POST", path: "/u/alice/mail/mcp?token=secret", headers, body: "{}" });
  return await told();
}

function name(trace: Trace): void {
  trace.setRoute("mcp", "alice");
  trace.setPrincipal(ALICE);
  trace.setServer("mail");
}

function carry(trace: Trace, ...bodies: string[]): void {
  for (const body of bodies) {
    const posted = peek(Buffer.from(body));
    assert.equal(posted.kind, "messages");
    trace.setMessages(posted.messages, body.length);
  }
}

test("what was found out about a request is told once, when it is over, without its query", async (t) => {
  const { line, warnings, journal, rows } = await post(t, (trace, res) => {
    name(trace);
    carry(trace, call(1, "search"));
    trace.setGeneration(3);
    res.end("well");
  });
  assert.deepEqual([line?.["user"], line?.["server"], line?.["tool"]], ["alice", "mail", "search"]);
  assert.equal(line?.["request"], "POST /u/alice/mail/mcp");
  assert.deepEqual([line["status_code"], line["remote_addr"]], [200, "192.0.2.7"]);
  assert.deepEqual([warnings, rows], [[], []]);
  const record = journal.lastGoodOf("alice");
  assert.deepEqual([record?.generation, record?.keyLabel], [3, "laptop"]);
});

test("a request is under way from its beginning to its end", async (t) => {
  let answer: (() => void) | undefined;
  const { port, journal, told } = await open(t, (trace, res) => {
    name(trace);
    answer = () => res.end();
  });
  const asked = ask(port, { path: "/u/alice/mail/sse" });
  const end = await until(() => answer, "it has begun");
  assert.deepEqual(
    journal.openOf("alice").map(({ path }) => path),
    ["/u/alice/mail/sse"],
  );
  end();
  await asked;
  await told();
  assert.deepEqual(journal.openOf("alice"), []);
});

test("a client that left before its answer is told as 499", async (t) => {
  let hasCome = false;
  const { port, told } = await open(t, (trace) => {
    name(trace);
    hasCome = true;
  });
  const aborted = new AbortController();
  const url = `http://127.0.0.1:${port}/u/alice/mail/mcp`;
  const asked = fetch(url, { signal: aborted.signal }).catch(() => undefined);
  await until(() => hasCome, "it has come");
  aborted.abort();
  await asked;
  assert.equal((await told()).line?.["status_code"], 499);
});

test("a refusal of a caller is in the request's own line and in the audit, and nowhere else", async (t) => {
  const failure = new SupervisorError("USER_MISMATCH", "the key is not alice's");
  const { line, warnings, rows, journal } = await post(t, (trace, res) => {
    trace.setRoute("mcp", "alice");
    trace.fail(failure);
    res.writeHead(403).end();
  });
  assert.deepEqual([line?.["code"], line?.["reason"]], ["USER_MISMATCH", failure.message]);
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    rows.map(({ kind, what, outcome, reason }) => [kind, what, outcome, reason]),
    [["refusal", "POST /u/alice/mail/mcp", "USER_MISMATCH", failure.message]],
  );
  assert.equal(journal.failuresOf("alice")[0]?.failure?.code, "USER_MISMATCH");
});

test("what a child did wrong is a warning of its own with its last words, which its client does not get", async (t) => {
  const { warnings, line } = await post(t, (trace, res) => {
    name(trace);
    trace.fail(
      new SupervisorError("INSTANCE_EXITED", "alice/mail: the child exited", {
        details: ["no such file"],
      }),
    );
    res.writeHead(502).end();
  });
  const [{ level, code, details }] = warnings as [Record<string, unknown>];
  assert.deepEqual([level, code, details], ["warn", "INSTANCE_EXITED", ["no such file"]]);
  assert.equal(line?.["level"], "warn");
});

test("the first failure of a request is what became of it", async (t) => {
  const { line } = await post(t, (trace, res) => {
    trace.fail(new SupervisorError("KEY_INVALID", "first"));
    trace.fail(new SupervisorError("REQUEST_INVALID", "second"));
    res.writeHead(401).end();
  });
  assert.deepEqual([line?.["code"], line?.["reason"]], ["KEY_INVALID", "first"]);
});

test("a key that is no more says to whom it belonged, for the admin only", async (t) => {
  const { line, journal } = await post(t, (trace, res) => {
    const why = "the access key mcps_abcd… of bob was revoked";
    trace.fail(new SupervisorError("KEY_INVALID", "no key"), { user: "bob", why });
    res.writeHead(401).end();
  });
  assert.equal(line?.["user"], null, "nobody has proved to be bob");
  const [failed] = journal.failuresOf("bob");
  assert.match(String(failed?.failure?.details[0]), /was revoked$/);
});

test("every call of a tool has a row: with its end where it began, as refused where it did not", async (t) => {
  const begun = await post(t, (trace, res) => {
    name(trace);
    carry(trace, call(1, "search"));
    trace.begin("search").end("tool-error", 17);
    res.end();
  });
  const [row] = begun.rows;
  assert.deepEqual(
    [row?.kind, row?.what, row?.outcome, row?.bytesOut, row?.user, row?.who],
    ["call", "search", "tool-error", 17, "alice", "laptop"],
  );
  assert.equal(begun.journal.errorRunsOf("alice")[0]?.tool, "search");

  const lost = await post(t, (trace, res) => {
    name(trace);
    carry(trace, call(1, "search"));
    trace.begin("search").end("lost", 0, "the child was killed by SIGKILL");
    res.end();
  });
  assert.deepEqual(
    [lost.rows[0]?.outcome, lost.rows[0]?.reason],
    ["lost", "the child was killed by SIGKILL"],
  );

  const refused = await post(t, (trace, res) => {
    name(trace);
    carry(trace, `[${call(1, "search")},${rpc(2, "ping")},${call(3, "send")}]`);
    trace.fail(new SupervisorError("INSTANCE_BACKING_OFF", "later"));
    res.writeHead(503).end();
  });
  assert.deepEqual(
    refused.rows.map(({ kind, what, outcome }) => [kind, what, outcome]),
    [
      ["call", "search", "refused"],
      ["call", "send", "refused"],
    ],
  );
});

test("what a client is told on its stream counts as what became of the POST that was accepted", async (t) => {
  const failure = new SupervisorError("INSTANCE_START_TIMEOUT", "not ready");
  const { line, journal } = await post(t, (trace, res) => {
    name(trace);
    trace.failApart(failure);
    res.writeHead(202).end("Accepted");
  });
  assert.deepEqual([line?.["status_code"], line?.["code"]], [504, failure.code]);
  assert.equal(journal.failuresOf("alice").length, 1);
});

test("a failure after the answer is remembered and told, though the request went well", async (t) => {
  let late: () => void = () => undefined;
  const { port, told } = await open(t, (trace, res) => {
    name(trace);
    late = () => trace.failApart(new SupervisorError("UPSTREAM_RESET", "the stream broke"));
    res.writeHead(202).end();
  });
  await ask(port, { method: "POST", path: "/u/alice/mail/messages", body: "{}" });
  const { line } = await told();
  assert.equal(line?.["status_code"], 202);
  late();
  const { warnings, journal } = await told();
  assert.deepEqual([warnings.length, warnings[0]?.["code"]], [1, "UPSTREAM_RESET"]);
  assert.equal(journal.failuresOf("alice")[0]?.failure?.code, "UPSTREAM_RESET");
});

test("the daemon's check of itself is counted, and told to nobody", async (t) => {
  const { line, warnings, rows, journal, metrics } = await post(t, (trace, res) => {
    trace.isOwn = true;
    trace.setRoute("health");
    res.end();
  });
  assert.deepEqual([line, warnings, rows], [undefined, [], []]);
  assert.equal(journal.find("life-1"), undefined);
  assert.deepEqual([metrics.inFlight, metrics.durations().length], [0, 1]);
});

test("work at the end that throws keeps no other from being done", async (t) => {
  const done: string[] = [];
  await post(t, (trace, res) => {
    trace.atEnd(() => {
      throw new Error("a mistake");
    });
    trace.atEnd(() => done.push("the other"));
    res.end();
  });
  await until(() => done.length === 1, "the other is done");
});
