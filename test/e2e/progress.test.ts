import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { fixture, initialize } from "../helpers/fixtures.ts";
import { NO_TERMINAL, onTerminal } from "../helpers/terminal.ts";
import { until } from "../helpers/until.ts";

const SERVERS = {
  slow: fixture("sse", "slow-start", "--after", "1500"),
  mute: fixture("sse", "never-ready"),
  echo: fixture("http", "echo-sse"),
};

const CLEAR = "\r\u001b[K";

/** As a terminal shows it at the end: of a line that was written over the last words. */
const leftOf = (shown: string): string[] =>
  shown
    .split("\n")
    .map((line) => line.replace(/\r$/, "").split(CLEAR).at(-1)!)
    .filter((line) => line !== "");

test("on a terminal a line says what is waited for, and is gone when it is done", async (t) => {
  if (NO_TERMINAL !== false) return t.skip(NO_TERMINAL);
  const { daemon } = await startForAlice(t, SERVERS, { startTimeout: "60s" });
  const here = ["--config", daemon.configPath];
  const start = onTerminal(["start", "alice", "--server", "slow", ...here]);
  assert.equal(await start.closed, 0, start.shown());
  assert.match(start.shown(), /[|/\\-] starting alice\/slow, \d s, 1 starting/);
  const left = leftOf(start.shown());
  assert.equal(left.length, 1, left.join("\n"));
  assert.match(left[0]!, /^alice\/slow is ready \(pid \d+, port \d+\)\.$/);

  const plain = await daemon.cli(["restart", "alice", "--server", "slow"], { isForPeople: true });
  assert.deepEqual([plain.code, plain.stderr], [0, ""], "what is quick is not told elsewhere");

  const hanging = onTerminal(["start", "alice", "--server", "mute", ...here]);
  await until(() => hanging.shown().includes("starting alice/mute"), "it says what it waits for");
  hanging.type("\u0003");
  assert.equal(await hanging.closed, 130);
  const said = leftOf(hanging.shown());
  assert.match(
    said.join("\n"),
    /interrupted; the daemon goes on with it; `mcp-supervisor status alice` shows how far it is$/,
  );
  const { instances } = (await daemon.cli(["status"])).json<{
    instances: { server: string; state: string }[];
  }>();
  assert.equal(instances.find(({ server }) => server === "mute")?.state, "starting");
});

test("an error after a wait appears once", async (t) => {
  if (NO_TERMINAL !== false) return t.skip(NO_TERMINAL);
  const { daemon } = await startForAlice(t, SERVERS, { startTimeout: "1s" });
  const failing = onTerminal(["start", "alice", "--server", "mute", "--config", daemon.configPath]);
  assert.equal(await failing.closed, 1);
  const left = leftOf(failing.shown());
  assert.equal(left.filter((line) => line.includes("alice/mute")).length <= 1, true);
  assert.equal(left.filter((line) => line.startsWith("mcp-supervisor: ")).length, 1);
});

test("stop --all stops the instances of all users, and the next message starts one again", async (t) => {
  const alice = await startForAlice(t, SERVERS);
  const { daemon } = alice;
  await daemon.addUser("bob");
  for (const [user, server] of [
    ["alice", "echo"],
    ["alice", "slow"],
    ["bob", "echo"],
  ] as const)
    assert.equal((await daemon.cli(["start", user, "--server", server])).code, 0);
  interface Row {
    user: string;
    server: string;
    state: string;
  }
  const stopped = (rows: Row[]) => rows.map(({ user, server, state }) => [user, server, state]);
  const ofOne = await daemon.cli(["stop", "--all", "--server", "slow"]);
  assert.deepEqual(stopped(ofOne.json<{ instances: Row[] }>().instances), [
    ["alice", "slow", "stopped"],
  ]);
  const all = await daemon.cli(["stop", "--all"], { isForPeople: true });
  assert.equal(
    all.stdout,
    "2 instances are stopped; the next message to each starts it again.\n",
    all.stderr,
  );
  const none = await daemon.cli(["stop", "--all"], { isForPeople: true });
  assert.equal(none.stdout, "Nothing was running.\n");
  const answered = await alice.post("/u/alice/echo/mcp", initialize());
  assert.equal(answered.status, 200, answered.body);
  for (const wrong of [["stop"], ["stop", "alice", "--all"]])
    assert.equal((await daemon.cli(wrong)).code, 2, wrong.join(" "));
  const { entries } = (await daemon.cli(["audit", "--outcome", "ok"])).json<{
    entries: { what: string }[];
  }>();
  assert.equal(entries.filter(({ what }) => what === "stop --all").length, 3);
});
