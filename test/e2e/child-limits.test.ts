import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startForAlice } from "../helpers/alice.ts";
import { daemonFolder } from "../helpers/daemon.ts";
import { call, fixture } from "../helpers/fixtures.ts";
import { boxed, noSandbox, notRoot } from "../helpers/isolation.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

interface Row {
  state: string;
  reason: string | null;
  rssBytes: number | null;
}

const rowOf = async (rig: Awaited<ReturnType<typeof startForAlice>>): Promise<Row> => {
  const { instances } = (await rig.daemon.cli(["status"])).json<{ instances: Row[] }>();
  return instances[0]!;
};

test("a child over its memory: the client, status and the log are told of the limit, and the next session works", async (t) => {
  const hungry = { ...fixture("sse", "hungry"), limits: { memory: "96M", cpu: 1 } };
  const rig = await startForAlice(t, { hungry });
  const { stream, endpoint } = await rig.sse("hungry");
  // A child that has answered a call was well until then, so it is no failed start that keeps the next one waiting.
  await rig.post(endpoint, call("well", "echo"));
  await until(() => stream.messages().some(({ id }) => id === "well"), "it is well");
  await rig.post(endpoint, call("more", "memory", { amount: 600 }));
  const answer = await until(
    () => stream.messages().find(({ id }) => id === "more"),
    "the call is answered",
  );
  assert.match(JSON.stringify(answer.error), /alice\/hungry: the child was killed: over 96M/);
  const row = await until(async () => {
    const now = await rowOf(rig);
    return now.state === "stopped" ? now : undefined;
  }, "nothing of it is left");
  assert.equal(row.reason, "was killed: over 96M");
  await until(
    () => /"message":"child: was killed: over 96M"/.test(rig.daemon.log()),
    "the log names it",
  );
  assert.doesNotMatch(rig.daemon.log(), /SIGKILL/);
  await rig.sse("hungry");
  assert.equal((await rowOf(rig)).state, "ready");
});

test("level sandbox: what a child has in /tmp and /dev/shm counts as its memory, mapped or not", async (t) => {
  if (noSandbox !== false) return t.skip(noSandbox);
  const uids = notRoot === false ? { from: 61_060, to: 61_069 } : null;
  const hungry = boxed("hungry", { limits: { memory: "128M" } });
  const rig = await startForAlice(t, { hungry }, { isolation: "sandbox", uids });
  const session = await rig.http("hungry");
  const fill = (id: string, places: string[]) =>
    rig.post("/u/alice/hungry/mcp", call(id, "files", { amount: 60, places }), session);
  assert.match((await fill("one", ["/dev/shm"])).body, /filled/);
  const { rssBytes } = (await rowOf(rig)) as { rssBytes: number };
  assert.ok(rssBytes > 60 << 20, `status counts it: ${rssBytes}`);
  await Promise.all([
    fill("both", ["/tmp"]),
    until(async () => (await rowOf(rig)).state === "stopped", "it is over, and ended"),
  ]);
  assert.equal((await rowOf(rig)).reason, "was killed: over 128M");
  return undefined;
});

test("level none: a fork bomb is killed with all that it became, and named", async (t) => {
  const rig = await startForAlice(t, {
    hungry: { ...fixture("sse", "hungry"), limits: { pids: 32 } },
  });
  const { endpoint } = await rig.sse("hungry");
  await rig.post(endpoint, call("fork", "fork", { amount: 64 }));
  const row = await until(async () => {
    const now = await rowOf(rig);
    return now.state === "ready" ? undefined : now;
  }, "it is ended");
  assert.match(row.reason ?? "", /was killed: over 32 processes/);
  await until(
    () => /"message":"child: was killed: over 32 processes"/.test(rig.daemon.log()),
    "the log names it",
  );
  const machine = await rig.daemon.cli(["doctor"], { isForPeople: true });
  assert.match(
    machine.stdout,
    /warn {2}child of alice\/hungry: the child was killed: over 32 proc/,
  );
});

/** An account that nobody has. */
const UID = 60_995;
const BECOME = ["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups"];
const BWRAP = ["bwrap", "--unshare-user", "--ro-bind", "/", "/"];

test("level sandbox of an ordinary account: the forks of a bomb are refused, the child goes on and is named", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root can become the account of this test");
  const canRun = [...BECOME, ...BWRAP, process.execPath, "--version"];
  if (spawnSync(canRun[0]!, canRun.slice(1)).status !== 0)
    return t.skip("bubblewrap is not installed, or an account cannot use it or read this checkout");
  const dir = daemonFolder(t);
  chownSync(dir, UID, UID);
  const paths = { read: [fileURLToPath(new URL("../fixtures", import.meta.url))] };
  const hungry = { ...fixture("sse", "hungry"), network: "none", paths, limits: { pids: 48 } };
  const options = { dir, through: BECOME };
  const rig = await startForAlice(t, { hungry }, { isolation: "sandbox" }, options);
  const { stream, endpoint } = await rig.sse("hungry");
  await rig.post(endpoint, call("fork", "fork", { amount: 256 }));
  // What a bomb's refused processes leave free would not be at the limit for long.
  await rig.post(endpoint, call("crowd", "crowd", { amount: 64 }));
  const row = await until(async () => {
    const now = await rowOf(rig);
    return now.reason === null ? undefined : now;
  }, "it is named");
  assert.deepEqual([row.state, row.reason], ["ready", "hit its limit of 48 processes"]);
  await until(
    () => /"message":"child: hit its limit of 48 processes"/.test(rig.daemon.log()),
    "the log names it",
  );
  await rig.post(endpoint, call("still", "echo", { text: "here" }));
  await until(() => stream.messages().some(({ id }) => id === "still"), "it answers");
  return undefined;
});

test("level sandbox of root without accounts: a fork bomb is killed with all that it became, and named", async (t) => {
  if (notRoot !== false) return t.skip(notRoot);
  if (noSandbox !== false) return t.skip(noSandbox);
  const rig = await startForAlice(
    t,
    { hungry: { ...boxed("hungry"), limits: { pids: 32 } } },
    { isolation: "sandbox" },
  );
  // Accounts of the machine are counted by nobody else here, so this is for the daemon to keep.
  assert.doesNotMatch(rig.daemon.log(), /not in force/);
  const session = await rig.http("hungry");
  const bomb = rig.post("/u/alice/hungry/mcp", call("fork", "fork", { amount: 128 }), session);
  const row = await until(
    async () => (await instancesOf(rig.daemon)).find(({ state }) => state !== "ready"),
    "it is ended",
    60_000,
  );
  assert.equal(row.reason, "was killed: over 32 processes");
  await bomb;
  return undefined;
});

/** Keeps a third of a core busy, or what a busy machine leaves of that. */
const BUSY =
  "setInterval(() => { for (const begun = process.cpuUsage(); process.cpuUsage(begun).user < 33e3;); }, 67)";

test("a child over its limit of CPU serves, and status and the doctor say so and since when", async (t) => {
  const { args, ...hungry } = fixture("sse", "hungry");
  const busy = ["--import", `data:text/javascript,${encodeURIComponent(BUSY)}`];
  const server = { ...hungry, args: [...busy, ...(args as string[])], limits: { cpu: 0.1 } };
  const rig = await startForAlice(t, { hungry: server });
  const { stream, endpoint } = await rig.sse("hungry");
  const row = await until(
    async () => (await instancesOf(rig.daemon)).find(({ reason }) => reason !== null),
    "it is named",
    60_000,
  );
  // Status may be asked a moment before the look that tells the log.
  await until(() => rig.daemon.log().includes("CPU limit"), "the log names it");
  const told = rig.daemon
    .log()
    .match(/.*CPU limit.*/g)
    ?.map((line) => JSON.parse(line) as object);
  const { level, user, server: name, message } = (told?.[0] ?? {}) as Record<string, string>;
  assert.deepEqual([told?.length, level, user, name], [1, "warn", "alice", "hungry"]);
  assert.match(message ?? "", /^child: has used \d+ % of its CPU limit \(0\.1\)/);
  assert.equal(row.state, "ready");
  assert.match(row.reason ?? "", /^has used \d+ % of its CPU limit \(0\.1\).* for [1-9]\d+ s$/);
  const { code, stdout } = await rig.daemon.cli(["doctor", "alice"], { isForPeople: true });
  assert.equal(code, 1);
  assert.match(stdout, /^alice\/hungry: the child has used \d+ % of its CPU limit \(0\.1\).* for /);
  const machine = await rig.daemon.cli(["doctor"], { isForPeople: true });
  assert.match(
    machine.stdout,
    /^warn {2}child of alice\/hungry: the child has used \d+ % of its CPU limit .*\n {6}→ mcp-supervisor doctor alice$/m,
  );
  await rig.post(endpoint, call("still", "echo", { text: "here" }));
  await until(() => stream.messages().some(({ id }) => id === "still"), "it answers");
});

test("the start names the servers whose limits nothing keeps, and says what would", async (t) => {
  const hungry = { ...fixture("sse", "hungry"), limits: { memory: "96M", cpu: 0.5 } };
  const { daemon } = await startForAlice(t, { hungry, plain: fixture("sse", "echo-sse") });
  const line = daemon
    .log()
    .split("\n")
    .find((text) => text.includes("not in force"));
  const { unkept, message } = JSON.parse(line ?? "{}") as { unkept: object[]; message: string };
  assert.deepEqual(unkept, [{ server: "hungry", limits: ["cpu"] }]);
  assert.match(message, /Delegate=/);
});
