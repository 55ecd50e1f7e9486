import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { metricsText } from "../../src/telemetry/metrics-text.ts";
import { RefusedReplays, survival } from "../../src/telemetry/survival.ts";

const MAIL = { user: "alice", server: "mail" };
const NO_GAUGES = {
  users: 0,
  sessions: 0,
  streams: 0,
  instances: {},
  spawnsWaiting: 0,
  auditDropped: 0,
  auditWaiting: 0,
  logDropped: 0,
  notificationsDropped: 0,
  troubles: {},
};

test("what sessions tell of a child's end is counted by server and kind", async (t) => {
  const metrics = new Metrics({ perUser: false });
  t.after(() => metrics.close());
  const told = survival(metrics, new RefusedReplays());
  told.onReplay(MAIL, "ok");
  told.onReplay(MAIL, "ok");
  told.onReplay(MAIL, "other-version");
  told.onResent(MAIL, 3);
  for (const reason of [
    "was killed by SIGKILL",
    "was killed: over 512M",
    "exited with code 1",
    "was restarted for a new token",
    "was stopped by an admin",
    "closed its output",
  ])
    told.onLost(MAIL, 2, reason);
  const { text } = await metricsText(metrics, NO_GAUGES, "1.0.0");
  const lines = text.split("\n").filter((line) => /^mcp_supervisor_(session|calls)_/.test(line));
  assert.deepEqual(lines, [
    'mcp_supervisor_session_replays_total{server="mail",outcome="ok"} 2',
    'mcp_supervisor_session_replays_total{server="mail",outcome="other-version"} 1',
    'mcp_supervisor_calls_resent_total{server="mail"} 3',
    'mcp_supervisor_calls_lost_total{server="mail",reason="killed"} 4',
    'mcp_supervisor_calls_lost_total{server="mail",reason="exited"} 2',
    'mcp_supervisor_calls_lost_total{server="mail",reason="restarted"} 2',
    'mcp_supervisor_calls_lost_total{server="mail",reason="stopped"} 2',
    'mcp_supervisor_calls_lost_total{server="mail",reason="other"} 2',
  ]);
});

test("the last session that could not be replayed is known of each server, of so many at most", () => {
  const refused = new RefusedReplays();
  refused.add(MAIL, "answered with another protocol version");
  refused.add({ user: "bob", server: "mail" }, "refused initialize");
  refused.add({ user: "alice", server: "notes" }, "lacks prompts");
  refused.add(MAIL, `refused initialize${"!".repeat(1000)}`);
  const of = refused.of("alice");
  assert.deepEqual(
    of.map(({ server }) => server),
    ["mail", "notes"],
  );
  assert.equal(of[0]!.reason.length, 400);
  assert.ok(Date.now() - of[0]!.at < 60_000);
  for (let other = 0; other < 1000; other++)
    refused.add({ user: `u${other}`, server: "mail" }, "refused initialize");
  assert.deepEqual(refused.of("alice"), []);
});
