import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { askControl } from "../helpers/control.ts";
import { call, fixture, initialize } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

/** `GET /metrics` over the control socket. */
const scrape = async (socketPath: string): Promise<string> =>
  (await askControl(socketPath, "GET", "/metrics")).body;

/** The value of a series by its name with labels. */
function valueOf(metrics: string, series: string): number | undefined {
  const line = metrics.split("\n").find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

test("/metrics tells what happened in the names and units of Prometheus, to admins alone", async (t) => {
  const servers = {
    echo: fixture("http", "echo-sse"),
    broken: fixture("http", "crash-on-start"),
  };
  const admin = { host: "127.0.0.1", port: 0 };
  const alice = await startForAlice(t, servers, { admin });
  const { daemon } = alice;
  const session = await alice.http("echo");
  await alice.post("/u/alice/mcp", call(1, "echo"), session);
  await alice.post("/u/alice/mcp", call(2, "unknown"), session);
  await alice.post("/u/alice/broken/mcp", call(3, "echo"));
  const open = await alice.stream("/u/alice/sse");
  const scraped = await until(async () => {
    const found = await scrape(daemon.socket);
    return found.includes('outcome="refused"') ? found : undefined;
  }, "the last request is over");
  const expected: Record<string, number> = {
    mcp_supervisor_users: 1,
    mcp_supervisor_sessions: 2,
    mcp_supervisor_streams: 1,
    mcp_supervisor_requests_in_flight: 1,
    mcp_supervisor_spawn_queue: 0,
    mcp_supervisor_audit_dropped_total: 0,
    mcp_supervisor_log_dropped_total: 0,
    'mcp_supervisor_troubles{kind="needs_reauth"}': 0,
    'mcp_supervisor_instances{state="ready"}': 1,
    'mcp_supervisor_instance_starts_total{server="echo"}': 1,
    'mcp_supervisor_instance_failures_total{server="broken"}': 1,
    'mcp_supervisor_tool_calls_total{server="echo",outcome="ok"}': 1,
    'mcp_supervisor_tool_calls_total{server="echo",outcome="error"}': 1,
    'mcp_supervisor_tool_calls_total{server="broken",outcome="refused"}': 1,
    'mcp_supervisor_request_duration_seconds_count{route="mcp",status="2xx"}': 3,
    'mcp_supervisor_request_duration_seconds_count{route="mcp",status="5xx"}': 1,
    'mcp_supervisor_request_duration_seconds_bucket{route="mcp",status="2xx",le="+Inf"}': 3,
  };
  for (const [series, value] of Object.entries(expected))
    assert.equal(valueOf(scraped, series), value, `${series}\n${scraped}`);
  assert.match(scraped, /^mcp_supervisor_build_info\{version="[\d.]+",node="[\d.]+"\} 1$/m);
  assert.match(scraped, /^mcp_supervisor_event_loop_delay_seconds\{quantile="p99"\} \d/m);
  assert.match(scraped, /^process_resident_memory_bytes \d+$/m);
  for (const line of scraped.split("\n"))
    assert.match(line, /^$|^# (HELP|TYPE) \w+ .+|^\w+(\{(\w+="[^"]*",?)+\})? (Nan|[-+\de.]+)$/);
  assert.doesNotMatch(scraped, /alice|mcps_|token-of/);
  open.close();

  const { port } = daemon.admin!;
  assert.equal((await ask(port, { path: "/metrics" })).status, 401);
  const token = readFileSync(join(daemon.dataDir, "admin.token"), "utf8").trim();
  const headers = ["authorization", `Bearer ${token}`];
  const byTcp = await ask(port, { path: "/metrics", headers });
  assert.deepEqual(
    [byTcp.status, byTcp.headers["content-type"]],
    [200, "text/plain; version=0.0.4; charset=utf-8"],
  );
  assert.equal(
    (await ask(port, { method: "POST", path: "/metrics", headers, body: "{}" })).status,
    415,
  );
  assert.equal((await ask(daemon.port, { path: "/metrics", headers: alice.auth })).status, 404);
});

test("a restart is counted for good, also when the instance is no more", async (t) => {
  const alice = await startForAlice(t, { echo: fixture("http", "echo-sse") });
  const { daemon } = alice;
  await alice.http("echo");
  const { pid } = await alice.row("echo");
  process.kill(pid, "SIGKILL");
  const again = async (): Promise<boolean> => {
    await alice.post("/u/alice/mcp", initialize());
    const { state, pid: now } = (await instancesOf(daemon))[0]!;
    return state === "ready" && now !== pid;
  };
  await until(again, "another child serves");
  const series = 'mcp_supervisor_instance_restarts_total{server="echo"}';
  assert.equal(valueOf(await scrape(daemon.socket), series), 1);
  await daemon.cli(["user", "remove", "alice", "--yes"]);
  const scraped = await scrape(daemon.socket);
  assert.equal(valueOf(scraped, series), 1);
  assert.match(scraped, /^# TYPE mcp_supervisor_instance_restarts_total counter$/m);
});

test("series of each user are there where the config asks for them", async (t) => {
  const servers = { echo: fixture("http", "echo-sse") };
  const alice = await startForAlice(t, servers, { metrics: { perUser: true } });
  const session = await alice.http("echo");
  await alice.post("/u/alice/mcp", call(1, "echo"), session);
  const series = 'mcp_supervisor_user_tool_calls_total{user="alice",server="echo",outcome="ok"}';
  await until(
    async () => valueOf(await scrape(alice.daemon.socket), series) === 1,
    "the call is counted",
  );
});
