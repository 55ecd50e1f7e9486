import assert from "node:assert/strict";
import { test } from "node:test";
import { causeOf, warningsOf } from "../../src/control/causes.ts";
import type { Facts } from "../../src/control/causes.ts";
import { NOTHING_KNOWN } from "../../src/observability/requests.ts";

const NOW = Date.parse("2026-06-01T12:00:00Z");
const DAY = 86_400_000;

type Instance = Facts["instances"][number];

const instance = (server: string, rest: Partial<Instance> = {}): Instance => ({
  user: "alice",
  server,
  variant: "",
  state: "ready",
  since: NOW - 1000,
  reason: null,
  retryAt: null,
  pid: null,
  port: null,
  generation: 1,
  restarts: 0,
  failures: 0,
  sessions: 0,
  inFlight: 0,
  idleSeconds: null,
  isolation: "none",
  rssBytes: null,
  troubles: [],
  ...rest,
});

const trouble = (generation: number) => ({
  at: NOW - 2000,
  generation,
  code: "INSTANCE_EXITED" as const,
  reason: "exited with code 3 before it was ready",
  exit: null,
  lines: [],
});

const crashing = (server: string, rest: Partial<Instance> = {}): Instance =>
  instance(server, {
    state: "backing-off",
    reason: trouble(1).reason,
    retryAt: NOW + 8000,
    failures: 1,
    troubles: [trouble(1)],
    ...rest,
  });

const token = (server: string | null, expiresAt: number | null) => ({
  server,
  expiresAt,
  fingerprint: "sha256:0",
  setAt: 0,
});

const EXPIRED = NOW - 3 * DAY;

const facts = (rest: Partial<Facts>): Facts => ({
  user: { name: "alice", state: "enabled", createdAt: 0 },
  now: NOW,
  instances: [],
  failures: [],
  lastGood: undefined,
  keys: [{ id: "1", prefix: "mcps_1234", label: null, createdAt: 0, expiresAt: null }],
  tokens: [],
  url: "http://localhost/u/alice/sse",
  ...rest,
});

const causeIn = (rest: Partial<Facts>): string | undefined => causeOf(facts(rest))?.cause;

test("an expired token is the cause of what fails with it, not of another server's crash", () => {
  const gmail = token("gmail", EXPIRED);
  const crash = { instances: [crashing("drawing"), instance("gmail")], tokens: [gmail] };
  assert.match(causeIn(crash)!, /^alice\/drawing: the child exited with code 3/);
  assert.deepEqual(warningsOf(facts(crash), causeOf(facts(crash))), [
    "alice's token for gmail expired 3 d ago",
  ]);
  const own = { instances: [crashing("gmail")], tokens: [gmail] };
  assert.equal(causeIn(own), "alice's token for gmail expired 3 d ago");
  assert.deepEqual(warningsOf(facts(own), causeOf(facts(own))), [], "it is not said twice");
});

test("a general token counts for the servers that have none of their own", () => {
  const general = token(null, EXPIRED);
  assert.equal(
    causeIn({ instances: [crashing("drawing")], tokens: [general] }),
    "alice's general token expired 3 d ago",
  );
  const tokens = [general, token("drawing", NOW + DAY)];
  assert.match(causeIn({ instances: [crashing("drawing")], tokens })!, /exited with code 3/);
});

test("a token that expired and serves no child is a warning, and nothing is wrong", () => {
  const unused = { instances: [instance("drawing")], tokens: [token("gmail", EXPIRED)] };
  assert.equal(causeIn(unused), undefined);
  assert.deepEqual(warningsOf(facts(unused), undefined), [
    "alice's token for gmail expired 3 d ago",
  ]);
  const used = { ...unused, instances: [instance("drawing"), instance("gmail")] };
  assert.match(causeIn(used)!, /token for gmail expired/, "a child has it and can do nothing");
});

test("what a remote refused with an expired token is put down to the token", () => {
  const failure = { code: "UPSTREAM_INVALID", message: "alice/far: refused (401)", details: [] };
  const record = { ...NOTHING_KNOWN, user: "alice", server: "far", at: NOW, status: 502, failure };
  const failures = [record];
  assert.match(causeIn({ failures, tokens: [token("far", EXPIRED)] })!, /token for far expired/);
  assert.match(causeIn({ failures, tokens: [token("other", EXPIRED)] })!, /refused \(401\)/);
});

test("a child in a crash loop keeps its cause while it waits for its turn and starts", () => {
  const rest = { state: "starting", reason: null, retryAt: null, failures: 3 } as const;
  assert.match(
    causeIn({ instances: [crashing("drawing", rest)] })!,
    /exited with code 3 .*; 3 failures in a row, and the next start is under way$/,
  );
  const forgiven = { ...rest, failures: 0 };
  assert.equal(causeIn({ instances: [crashing("drawing", forgiven)] }), undefined);
});

test("only failures in a row are counted, not those before the child was well", () => {
  const troubles = [5, 4, 3, 2, 1].map(trouble);
  assert.match(
    causeIn({ instances: [crashing("drawing", { troubles, failures: 2 })] })!,
    /; 2 failures, tried again in 8 s$/,
  );
  assert.match(causeIn({ instances: [crashing("drawing", { troubles })] })!, /ready$/);
  const parked = { troubles, failures: 12, state: "parked" } as const;
  assert.match(
    causeIn({ instances: [crashing("drawing", parked)] })!,
    /; parked after 12 failures in a row, until /,
  );
});
