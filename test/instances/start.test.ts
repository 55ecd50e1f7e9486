import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { removeLeftTmp } from "../../src/engines/process/private-home.ts";
import type { Live } from "../../src/instances/supervisor.ts";
import { isAlive, processesMarked } from "../helpers/leaks.ts";
import { callTool, fixture, openSupervisor, ref, targetOf } from "../helpers/supervisor.ts";
import { until } from "../helpers/until.ts";

const ECHO_STDIO = fileURLToPath(new URL("../../bench/echo-stdio.mjs", import.meta.url));
const ALICE = ref("alice", "echo");

async function failureOf(start: Promise<unknown>): Promise<SupervisorError> {
  try {
    await start;
  } catch (error) {
    assert.ok(error instanceof SupervisorError);
    return error;
  }
  return assert.fail("it started");
}

test("a hundred callers share one start", async (t) => {
  const { supervisor, dataDir } = openSupervisor(t, { echo: fixture("echo-sse") });
  const lives = await Promise.all(Array.from({ length: 100 }, () => supervisor.ensure(ALICE)));
  assert.equal(new Set(lives).size, 1);
  assert.equal(lives[0]!.generation, 1);
  assert.equal(processesMarked(`HOME=${dataDir}/`).length, 1);
});

test("a caller that gives up does not end the start for the others", async (t) => {
  const { supervisor } = openSupervisor(t, { echo: fixture("echo-sse") });
  const impatient = Promise.race([supervisor.ensure(ALICE), Promise.reject(new Error("gone"))]);
  await assert.rejects(impatient, /gone/);
  assert.equal((await supervisor.ensure(ALICE)).generation, 1);
});

test("an instance that is ready answers with the same promise, and none is handed out before", async (t) => {
  const { supervisor } = openSupervisor(t, { echo: fixture("echo-sse") });
  const instance = supervisor.instance(ALICE);
  const start = instance.ensure();
  assert.equal(instance.live, undefined);
  const live = await start;
  assert.equal(instance.live, live);
  assert.equal(supervisor.instance(ALICE).live, live);
  assert.equal(instance.ensure(), instance.ensure());
  assert.equal(supervisor.instance(ref("alice", "echo")), instance);
});

test("a child's environment is the allow-list, its private folders, the server's own and the token", async (t) => {
  process.env["DAEMON_SECRET"] = "not for children";
  t.after(() => delete process.env["DAEMON_SECRET"]);
  const env = { GREETING: "hello ${user} on ${port}" };
  const more = { env, tokenEnv: "MAIL_TOKEN" };
  const { supervisor, tokens, dataDir } = openSupervisor(t, {
    echo: fixture("echo-sse", [], more),
  });
  tokens.set("alice/echo", "alice-token");
  const live = await supervisor.ensure(ALICE);
  const seen = JSON.parse(await callTool(live, "env")) as Record<string, string>;
  const inherited = ["PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"].filter(
    (name) => process.env[name] !== undefined,
  );
  const home = path.join(dataDir, "homes/alice/echo");
  const tmp = seen["TMPDIR"]!;
  assert.match(path.relative(dataDir, tmp), /^homes\/alice\/\.tmp\/echo\.\w+$/);
  assert.deepEqual(seen, {
    ...Object.fromEntries(inherited.map((name) => [name, process.env[name]])),
    HOME: home,
    TMPDIR: tmp,
    GREETING: `hello alice on ${targetOf(live).url.port}`,
    MAIL_TOKEN: "alice-token",
  });
});

test("a user without a token gets a child without the variable, and each user their own token", async (t) => {
  const { supervisor, tokens } = openSupervisor(t, { echo: fixture("echo-sse") });
  tokens.set("bob/echo", "bob-token");
  const [alice, bob] = await Promise.all([
    supervisor.ensure(ALICE),
    supervisor.ensure(ref("bob", "echo")),
  ]);
  const tokenOf = async (live: typeof alice) =>
    (JSON.parse(await callTool(live, "env")) as Record<string, string>)["USER_ACCESS_TOKEN"];
  assert.equal(await tokenOf(alice), undefined);
  assert.equal(await tokenOf(bob), "bob-token");
  assert.notEqual(alice.pid, bob.pid);
  assert.notEqual(targetOf(alice).url.port, targetOf(bob).url.port);
});

const foldersOf = async (live: Live): Promise<{ home: string; tmp: string }> => {
  const { HOME, TMPDIR } = JSON.parse(await callTool(live, "env")) as Record<string, string>;
  return { home: HOME!, tmp: TMPDIR! };
};

test("HOME is kept between starts, TMPDIR goes with its child, and both are the owner's only", async (t) => {
  const { supervisor, dataDir } = openSupervisor(t, { echo: fixture("echo-sse") });
  mkdirSync(path.join(dataDir, "homes/alice/echo"), { recursive: true, mode: 0o755 });
  const { home, tmp } = await foldersOf(await supervisor.ensure(ALICE));
  assert.equal(home, path.join(dataDir, "homes/alice/echo"));
  for (const folder of [home, tmp]) assert.equal(statSync(folder).mode & 0o777, 0o700);
  writeFileSync(path.join(home, "kept"), "");
  // As Go's module cache leaves it: its owner may not delete what is in there.
  mkdirSync(path.join(tmp, "locked/deep"), { recursive: true });
  chmodSync(path.join(tmp, "locked"), 0);
  await supervisor.stop(ALICE, "stopped by an admin");
  assert.ok(!existsSync(tmp));
  const again = await foldersOf(await supervisor.ensure(ALICE));
  assert.ok(existsSync(path.join(home, "kept")));
  assert.notEqual(again.tmp, tmp);
});

test("the TMPDIRs that a killed daemon left are deleted by the next, and no child's of its own", async (t) => {
  const { supervisor, dataDir } = openSupervisor(t, { echo: fixture("echo-sse") });
  const { tmp } = await foldersOf(await supervisor.ensure(ALICE));
  const left = path.join(path.dirname(tmp), "echo.left");
  mkdirSync(path.join(left, "scrap"), { recursive: true });
  await removeLeftTmp(dataDir);
  assert.ok(!existsSync(left));
  assert.ok(existsSync(tmp));
});

test("what a link in TMPDIR leads to stays when TMPDIR goes", async (t) => {
  const { supervisor, dataDir } = openSupervisor(t, { echo: fixture("echo-sse") });
  const elsewhere = path.join(dataDir, "elsewhere");
  mkdirSync(elsewhere);
  writeFileSync(path.join(elsewhere, "precious"), "");
  const { tmp } = await foldersOf(await supervisor.ensure(ALICE));
  symlinkSync(elsewhere, path.join(tmp, "away"));
  await supervisor.stop(ALICE, "stopped by an admin");
  assert.ok(!existsSync(tmp));
  assert.ok(existsSync(path.join(elsewhere, "precious")));
});

test("variants of one server are children of their own with one HOME, and a TMPDIR each", async (t) => {
  const { supervisor } = openSupervisor(t, { echo: fixture("echo-sse") });
  const lives = await Promise.all(
    ["", "a/../../b", "c"].map((variant) => supervisor.ensure(ref("alice", "echo", variant))),
  );
  const folders = await Promise.all(lives.map(foldersOf));
  assert.equal(new Set(lives.map(({ pid }) => pid)).size, 3);
  assert.equal(new Set(folders.map(({ home }) => home)).size, 1);
  assert.equal(new Set(folders.map(({ tmp }) => tmp)).size, 3);
});

test("the home that a variant had in an earlier version becomes the HOME where there is no other, the last used of them", async (t) => {
  const { supervisor, dataDir } = openSupervisor(t, { echo: fixture("echo-sse") });
  const homes = (user: string) => path.join(dataDir, "homes", user);
  const leave = (place: string, at: number) => {
    mkdirSync(place, { recursive: true });
    writeFileSync(path.join(place, "who"), path.basename(place));
    utimesSync(place, at, at);
  };
  leave(path.join(homes("alice"), "echo.0123456789abcdef"), 1_000);
  leave(path.join(homes("alice"), "echo.fedcba9876543210"), 2_000);
  leave(path.join(homes("bob"), "echo"), 1_000);
  leave(path.join(homes("bob"), "echo.0123456789abcdef"), 2_000);
  const who = async (user: string) =>
    readFileSync(
      path.join((await foldersOf(await supervisor.ensure(ref(user, "echo")))).home, "who"),
      "utf8",
    );
  assert.equal(await who("alice"), "echo.fedcba9876543210");
  assert.equal(await who("bob"), "echo", "the plain one stays");
  for (const user of ["alice", "bob"])
    assert.ok(existsSync(path.join(homes(user), "echo.0123456789abcdef")), "nothing is lost");
});

test("a child that crashes at its start is told with its code and last words, and the next call tries again", async (t) => {
  const { supervisor } = openSupervisor(t, { crash: fixture("crash-on-start") });
  const crash = ref("alice", "crash");
  const failure = await failureOf(supervisor.ensure(crash));
  assert.equal(failure.code, "INSTANCE_EXITED");
  assert.equal(failure.message, "alice/crash: the child exited with code 3 before it was ready");
  assert.deepEqual(failure.details, ["cannot start: the mailbox is missing"]);
  await supervisor.stop(crash, "settled");
  const [row] = supervisor.list();
  assert.equal(row?.state, "stopped");
  assert.equal(row.reason, "exited with code 3 before it was ready");
  await failureOf(supervisor.ensure(crash));
  assert.equal(supervisor.list()[0]?.generation, 2);
  assert.equal(supervisor.list()[0]?.restarts, 1);
});

test("a child that never listens is given up after its time, with what was missing, and ended", async (t) => {
  const more = { startTimeout: "400ms" };
  const { supervisor, dataDir } = openSupervisor(t, { never: fixture("never-ready", [], more) });
  const failure = await failureOf(supervisor.ensure(ref("alice", "never")));
  assert.equal(failure.code, "INSTANCE_START_TIMEOUT");
  assert.match(
    failure.message,
    /^alice\/never: the child was not ready within 0\.4 s: nothing listens on port \d+$/,
  );
  await supervisor.stop({}, "settled");
  assert.deepEqual(processesMarked(`HOME=${dataDir}/`), []);
});

test("a child that answers garbage, or the wrong path, is never ready", async (t) => {
  const { supervisor } = openSupervisor(t, {
    garbage: fixture("garbage", [], { startTimeout: "4s" }),
    wrong: fixture("echo-sse", [], { startTimeout: "4s", path: "/events" }),
  });
  const [garbage, wrong] = await Promise.all(
    ["garbage", "wrong"].map((name) => failureOf(supervisor.ensure(ref("alice", name)))),
  );
  assert.match(garbage!.message, /within 4 s: GET \/sse: the answer is not HTTP$/);
  assert.match(wrong!.message, /within 4 s: GET \/events answered 404$/);
});

test("a program that does not exist is a plain sentence without its path", async (t) => {
  const { supervisor } = openSupervisor(t, {
    nothing: { type: "sse", command: "/opt/no/such/program", args: ["${port}"] },
  });
  const failure = await failureOf(supervisor.ensure(ref("alice", "nothing")));
  assert.equal(failure.code, "INSTANCE_SPAWN_FAILED");
  assert.equal(
    failure.message,
    "alice/nothing: the child could not be started: there is no such program",
  );
  assert.deepEqual(failure.details, ["program: /opt/no/such/program"]);
});

test("a home that cannot be made is a failure of that start alone", async (t) => {
  const { supervisor, dataDir } = openSupervisor(t, { echo: fixture("echo-sse") });
  mkdirSync(path.join(dataDir, "homes"));
  writeFileSync(path.join(dataDir, "homes/alice"), "in the way");
  const failure = await failureOf(supervisor.ensure(ALICE));
  assert.equal(failure.code, "INSTANCE_SPAWN_FAILED");
  assert.match(failure.message, /^alice\/echo: its private home could not be prepared \(E\w+\)$/);
  await supervisor.ensure(ref("bob", "echo"));
});

test("an unknown server is refused, and so is a stdio child that does not initialize", async (t) => {
  const { supervisor } = openSupervisor(t, {
    plain: { command: "cat" },
    mute: { command: "sleep", args: ["60"], startTimeout: "1s" },
  });
  const unknown = await failureOf(supervisor.ensure(ref("alice", "nope")));
  assert.equal(unknown.code, "SERVER_NOT_FOUND");
  const stdio = await failureOf(supervisor.ensure(ref("alice", "plain")));
  assert.equal(stdio.code, "INSTANCE_EXITED");
  assert.match(stdio.message, /the child refused to initialize/);
  const mute = await failureOf(supervisor.ensure(ref("alice", "mute")));
  assert.equal(mute.code, "INSTANCE_START_TIMEOUT");
  assert.match(mute.message, /it did not answer initialize/);
});

test("a stdio child is ready when it has answered initialize, and ends with its input", async (t) => {
  const { supervisor } = openSupervisor(t, {
    echo: { command: process.execPath, args: [ECHO_STDIO] },
  });
  const live = await supervisor.ensure(ref("alice", "echo"));
  assert.equal(live.target.transport, "stdio");
  assert.equal(supervisor.list()[0]?.port, null);
  await supervisor.stop({ user: "alice" }, "was stopped");
  assert.deepEqual((await live.exited).exit?.code, 0);
});

test("a slow child is waited for, over either transport", async (t) => {
  const { supervisor } = openSupervisor(t, {
    slow: fixture("slow-start", ["--after", "400"]),
    stream: fixture("slow-start", ["--after", "400"], { type: "http" }),
    mute: fixture("mute-post"),
    foreign: fixture("foreign-endpoint"),
  });
  const lives = await Promise.all(
    ["slow", "stream", "mute", "foreign"].map((name) => supervisor.ensure(ref("alice", name))),
  );
  assert.deepEqual(
    lives.map(targetOf).map(({ transport, url, isRemote }) => [transport, url.pathname, isRemote]),
    [
      ["sse", "/sse", false],
      ["http", "/mcp", false],
      ["sse", "/sse", false],
      ["sse", "/sse", false],
    ],
  );
});

test("a child is found on the address it chose, and told once when others can reach it", async (t) => {
  const { supervisor, logged } = openSupervisor(t, {
    v4: fixture("echo-sse"),
    v6: fixture("echo-sse", ["--host", "::1"]),
    all: fixture("echo-sse", ["--host", "0.0.0.0"]),
    both: fixture("echo-sse", ["--host", "::"]),
  });
  const hosts: Record<string, string> = {};
  for (const name of ["v4", "v6", "all", "both"]) {
    const live = await supervisor.ensure(ref("alice", name));
    hosts[name] = targetOf(live).url.hostname;
    assert.equal(await callTool(live, "echo", { text: name }), name);
  }
  assert.deepEqual(hosts, { v4: "127.0.0.1", v6: "[::1]", all: "127.0.0.1", both: "127.0.0.1" });
  await supervisor.ensure(ref("bob", "all"));
  const warned = logged.filter(({ message }) => /more than loopback/.test(String(message)));
  assert.deepEqual(
    warned.map(({ server }) => server),
    ["all", "both"],
  );
});

test("a child that floods its output goes on serving, and only its last lines are kept", async (t) => {
  const { supervisor } = openSupervisor(t, { floods: fixture("floods-stdout") });
  const floods = ref("alice", "floods");
  const dropped = new Promise<void>((resolve) => {
    supervisor.events.on("line", ({ line }) => {
      if (/^… \d+ lines dropped$/.test(line.text)) resolve();
    });
  });
  const live = await supervisor.ensure(floods);
  await dropped;
  assert.equal(supervisor.logs(floods).length, 200);
  assert.equal(await callTool(live, "echo", { text: "still here" }), "still here");
  const before = process.memoryUsage().rss;
  const [cpu, begun] = [process.cpuUsage(), performance.now()];
  for (let i = 0; i < 20; i++) await callTool(live, "sleep", { ms: 50 });
  const { user, system } = process.cpuUsage(cpu);
  const tookMs = performance.now() - begun;
  assert.ok(process.memoryUsage().rss - before < 64e6, "memory does not grow with the flood");
  assert.ok((user + system) / 1000 < 0.8 * tookMs, "a flood does not take the daemon's core");
});

test("logs are the last 200 lines with their streams and times", async (t) => {
  const { supervisor } = openSupervisor(t, { echo: fixture("echo-sse") });
  assert.deepEqual(supervisor.logs(ALICE), []);
  const heard: string[] = [];
  supervisor.events.on("line", ({ ref: { user }, line }) => heard.push(`${user}: ${line.text}`));
  const before = Date.now();
  const live = await supervisor.ensure(ALICE);
  const [line] = await until(() => {
    const lines = supervisor.logs(ALICE);
    return lines.length > 0 ? lines : undefined;
  }, "the child has spoken");
  assert.equal(line!.stream, "stderr");
  assert.equal(line!.text, `listening on ${targetOf(live).url.port}`);
  assert.ok(line!.at >= before && line!.at <= Date.now());
  assert.deepEqual(heard, [`alice: listening on ${targetOf(live).url.port}`]);
});

test("a row of status says what runs, with the memory of its tree", async (t) => {
  const { supervisor } = openSupervisor(t, { echo: fixture("echo-sse") });
  const before = Date.now();
  const live = await supervisor.ensure(ALICE);
  const now = performance.now();
  const { usage } = supervisor.instance(ALICE);
  Object.assign(usage, { sessions: 2, lastMessageAt: now - 3500 });
  const clock = t.mock.method(performance, "now", () => now);
  const [row] = await supervisor.status();
  clock.mock.restore();
  assert.ok(row);
  const { since, rssBytes, ...rest } = row;
  assert.deepEqual(rest, {
    user: "alice",
    server: "echo",
    variant: "",
    state: "ready",
    reason: null,
    retryAt: null,
    pid: live.pid,
    place: null,
    port: Number(targetOf(live).url.port),
    generation: 1,
    restarts: 0,
    failures: 0,
    sessions: 2,
    inFlight: 0,
    idleSeconds: 3,
    isolation: "none",
  });
  assert.ok(since >= before && since <= Date.now());
  assert.ok(rssBytes !== null && rssBytes > 1e6);
  assert.deepEqual(supervisor.counts(), { ready: 1 });
  await supervisor.stop({ user: "alice" }, "stopped by an admin");
  const [stopped] = await supervisor.status({ server: "echo" });
  assert.equal(stopped?.rssBytes, null);
  assert.equal(stopped.pid, null);
  assert.equal(stopped.reason, "stopped by an admin");
  assert.ok(!isAlive(live.pid!));
});
