import assert from "node:assert/strict";
import { test } from "node:test";
import { causeOf, warningsOf } from "../../src/api/diagnosis.ts";
import type { Facts } from "../../src/api/facts.ts";
import { NOTHING_KNOWN } from "../../src/telemetry/request-record.ts";

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
  place: null,
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
  lines: [],
  lastStartMs: null,
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
  grant: null,
});

const EXPIRED = NOW - 3 * DAY;

const facts = (rest: Partial<Facts>): Facts => ({
  user: { name: "alice", state: "enabled", createdAt: 0, fullName: null, email: null },
  now: NOW,
  instances: [],
  failures: [],
  lastGood: undefined,
  open: [],
  errorRuns: [],
  refusedReplays: [],
  keys: [{ id: "1", prefix: "mcps_1234", label: null, createdAt: 0, expiresAt: null }],
  tokens: [],
  pageFor: () => undefined,
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

const SECOND = 1000;
const asked = (id: number, rest: object = {}) => ({
  ...NOTHING_KNOWN,
  requestId: `req_${id}`,
  at: NOW - 60 * SECOND + id,
  method: "POST",
  path: "/u/alice/mcp",
  status: 200,
  user: "alice",
  server: "gmail",
  ...rest,
});
const refusedAs = (code: string) => ({
  status: 404,
  failure: { code, message: "what was said", details: [] },
});

test("a start that takes over 3 s, and twice as long as the last good one, is named with who waits for it and its last words", () => {
  const starting = (seconds: number, rest: Partial<Instance> = {}) =>
    instance("gmail", { state: "starting", since: NOW - seconds * SECOND, ...rest });
  const waits = { open: [asked(1, { at: NOW - 20 * SECOND })] };
  assert.equal(
    causeIn({ ...waits, instances: [starting(20, { lines: ["config.json: not found"] })] }),
    "alice/gmail: the start has been under way for 20 s; 1 request waits for it: config.json: not found",
  );
  assert.equal(
    causeIn({ instances: [starting(20, { lastStartMs: 4 * SECOND })] }),
    "alice/gmail: the start has been under way for 20 s, where the last good one took 4 s; nobody waits for it any more",
  );
  assert.equal(causeIn({ instances: [starting(20, { lastStartMs: 11 * SECOND })] }), undefined);
  assert.equal(causeIn({ instances: [starting(2)] }), undefined);
});

test("a request that waits while nothing runs or starts waits for a start all the same", () => {
  const open = [asked(1, { at: NOW - 9 * SECOND }), asked(2, { at: NOW - 5 * SECOND })];
  assert.match(causeIn({ open })!, /^alice\/gmail: the start .* for 9 s; 2 requests wait for it$/);
  assert.equal(causeIn({ open, instances: [instance("gmail")] }), undefined, "a slow call");
});

test("what was met last is the cause; a refusal that a good message followed is over", () => {
  const failures = [asked(5, refusedAs("SESSION_NOT_FOUND")), asked(2, refusedAs("NOT_FOUND"))];
  assert.match(causeIn({ failures, lastGood: asked(4) })!, /what was said/);
  assert.equal(causeIn({ failures, lastGood: asked(6) }), undefined);
  const curl = [asked(5, { user: null, pathUser: "alice", ...refusedAs("KEY_INVALID") })];
  assert.equal(causeIn({ failures: curl, lastGood: asked(9) }), undefined);
  assert.match(causeIn({ failures: curl, lastGood: asked(3) })!, /access key/);
});

test("a server that did not start when it was asked, and runs since, is no cause any more", () => {
  const failures = [asked(5, refusedAs("INSTANCE_EXITED"))];
  assert.match(causeIn({ failures, instances: [instance("drawing")] })!, /what was said/);
  assert.match(
    causeIn({ failures, instances: [instance("gmail", { since: NOW - 90 * SECOND })] })!,
    /what was said/,
  );
  assert.equal(causeIn({ failures, instances: [instance("gmail")] }), undefined);
  const other = [asked(5, refusedAs("UPSTREAM_REFUSED"))];
  assert.match(causeIn({ failures: other, instances: [instance("gmail")] })!, /what was said/);
});

test("a request by which clients feel their way is no cause, and hides none", () => {
  const feelers = [
    asked(8, { method: "GET", ...refusedAs("METHOD_NOT_ALLOWED") }),
    asked(7, { method: "DELETE", ...refusedAs("SESSION_NOT_FOUND") }),
  ];
  assert.equal(causeIn({ failures: feelers }), undefined);
  const failures = [...feelers, asked(6, refusedAs("BODY_TOO_LARGE"))];
  assert.match(causeIn({ failures })!, /sent too much/);
});

test("calls that the server itself answers with errors are named behind what was refused", () => {
  const run = { server: "gmail", tool: "send_mail", count: 3, at: NOW - SECOND };
  assert.equal(
    causeIn({ errorRuns: [run] }),
    "alice/gmail: it runs and answers, but the server itself answered the last 3 calls with errors, at last one of send_mail",
  );
  const failures = [asked(5, refusedAs("SESSION_NOT_FOUND"))];
  assert.match(causeIn({ errorRuns: [run], failures })!, /what was said/);
  assert.match(causeIn({ errorRuns: [run], tokens: [token("gmail", EXPIRED)] })!, /expired/);
});

test("a child that is to be replaced and cannot be is named, though it serves", () => {
  const reason = "could not be replaced: the next one exited with code 3 before it was ready";
  const retryAt = NOW + 4000;
  const troubles = [{ ...trouble(2), lines: ["Error: no such mailbox"] }];
  const serving = instance("mail", { reason, retryAt, troubles });
  assert.deepEqual(causeOf(facts({ instances: [serving] })), {
    code: "INSTANCE_EXITED",
    cause: `alice/mail: the child ${reason}: Error: no such mailbox; it goes on serving, and its replacement is tried again in 4 s`,
    next: "mcp-supervisor logs alice --server mail",
  });
});

test("a start that hangs beside a child that serves keeps nobody waiting", () => {
  const starting = instance("mail", { state: "starting", since: NOW - 20_000, generation: 2 });
  assert.match(
    causeIn({ instances: [instance("mail"), starting] })!,
    /the start has been under way for 20 s; the child before it goes on serving$/,
  );
});

test("a session that could not go on with the next child is a warning for an hour", () => {
  const refused = (at: number) => [{ server: "mail", reason: "lacks prompts", at }];
  const warnings = (at: number): string[] =>
    warningsOf(facts({ refusedReplays: refused(at) }), undefined);
  assert.deepEqual(warnings(NOW - 60_000), [
    "alice/mail: a session could not go on with the next child 60 s ago, and its client had to begin anew: the server lacks prompts",
  ]);
  assert.deepEqual(warnings(NOW - 2 * 3_600_000), []);
});

test("who has to connect an account anew is told where, before the token is over and after", () => {
  const needsReauth = { since: NOW - DAY, reason: "20064" };
  const tried = { refreshedAt: 0, lastResult: "needs_reauth: 20064", lastTriedAt: NOW - DAY };
  const grant = { provider: "sso", refreshExpiresAt: null, ...tried, needsReauth };
  const withTokens = (expiresAt: number, page?: string): Facts =>
    facts({
      instances: [instance("mail")],
      tokens: [{ ...token("mail", expiresAt), grant }],
      pageFor: () => page,
    });
  const page = "https://mcp.example.com/u/alice/connect/mail";
  const command = "mcp-supervisor token set alice --server mail --refresh-token-stdin";
  assert.equal(causeOf(withTokens(EXPIRED, page))?.next, `alice opens ${page} , or ${command}`);
  assert.equal(causeOf(withTokens(EXPIRED))?.next, command);
  const warned = (more?: string) => warningsOf(withTokens(NOW + DAY, more), undefined);
  const dying = "alice's token for mail is over in 24 h, and sso refreshes it no more: 20064";
  assert.deepEqual(warned(), [dying]);
  assert.deepEqual(warned(page), [`${dying}; alice connects it anew at ${page}`]);
});

test("what the cluster keeps a pod from is named first, with what an admin does about it", () => {
  const why = {
    'could not be started: the cluster has no room for its pod: pods "x" is forbidden: exceeded quota: small':
      /quota of the namespace/,
    "could not be started: its pod was not running within 300 s (kubernetes.pendingTimeout): its image cannot be pulled (child: ErrImagePull: not found)":
      /image, shimImage and pullSecrets of servers\.gmail\.kubernetes/,
    "could not be started: its pod was not running within 300 s (kubernetes.pendingTimeout): no node takes it (Unschedulable: 0/2 nodes are available)":
      /requests, nodeSelector or tolerations/,
    "could not be started: its pod was refused: the namespace refuses it by Pod Security: it has to admit the level `restricted`":
      /policy that is named/,
    "could not be started: its pod was refused: an admission policy of the cluster refuses it (no)":
      /policy that is named/,
    "was killed: over 64M": /limits\.memory/,
    "could not be started: its pod was refused: the cluster has no such RuntimeClass: make it, or change kubernetes.runtimeClass":
      /kubectl get runtimeclass/,
    "could not be started: its pod was refused: the daemon's role lacks a right: apply the role of deploy/kubernetes":
      /apply the role/,
    "could not be started: its pod runs at 10.1.2.3 and does not answer at port 8443":
      /routes to them/,
    "could not be started: the shim of pod x refuses this daemon (UNKNOWN_PROTOCOL): 2":
      /mcp-supervisor kubernetes image/,
    "could not be started: program not found": /they mean its image/,
  };
  for (const [reason, remedy] of Object.entries(why)) {
    const code = "INSTANCE_SPAWN_FAILED" as const;
    const own = reason.startsWith("was killed") ? null : code;
    const troubles = [{ ...trouble(1), code: own, reason }];
    const row = crashing("gmail", { isolation: "pod:gvisor", reason, troubles });
    const cause = causeOf(facts({ instances: [row] }));
    assert.ok(cause?.cause.startsWith(`alice/gmail: the child ${reason}`), cause?.cause);
    assert.match(cause?.next ?? "", remedy, reason);
  }
});

test("a pod that waits is told with what it waits for", () => {
  const reason = "no node takes it (Unschedulable: 0/2 nodes are available)";
  const waiting = instance("gmail", { state: "starting", since: NOW - 12_000, reason });
  assert.deepEqual(causeOf(facts({ instances: [waiting] })), {
    code: "INSTANCE_PENDING",
    cause: `alice/gmail: its pod has been waiting for 12 s: ${reason}`,
    next: "add nodes, or change requests, nodeSelector or tolerations of servers.gmail.kubernetes",
  });
});
