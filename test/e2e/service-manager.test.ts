import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { atEnd, daemonFolder, runCli, startDaemon } from "../helpers/daemon.ts";
import type { AddedUser } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { isInstalled } from "../helpers/installed.ts";
import { bearer, initialize, json } from "../helpers/fixtures.ts";
import { freePort } from "../helpers/free-port.ts";
import { openNotifySocket } from "../helpers/notify-socket.ts";
import { PROGRAM } from "../helpers/program.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const NOTIFY = new URL("../../src/systemd/notify.ts", import.meta.url).href;
const NO_KOFFI = "koffi is not installed";

test("the service manager hears ready, the counts, each reload and the end, and signs of life", async (t) => {
  const socket = await openNotifySocket(t);
  if (socket === undefined) return t.skip(NO_KOFFI);
  const daemon = await startDaemon(t, {
    config: { servers: { echo: echoServer("http") } },
    env: { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: "2000000" },
  });
  const heard = async (line: string, times = 1): Promise<void> => {
    const count = () =>
      socket.messages().filter((message) => message.split("\n").includes(line)).length;
    await until(() => count() >= times, `${line} was heard`, 30_000);
  };
  await heard("READY=1");
  assert.equal(socket.messages()[0], "READY=1\nSTATUS=0 users, 0 children");
  const { key } = await daemon.addUser("alice", "token");
  await heard("STATUS=1 user, 0 children");
  const headers = [...bearer(key.secret), ...json];
  const path = "/u/alice/echo/mcp";
  await ask(daemon.port, { method: "POST", path, body: initialize(), headers });
  await heard("STATUS=1 user, 1 child");
  await heard("WATCHDOG=1", 2);
  await ask(daemon.port, { path: "/health" });
  const checks = () => daemon.log().match(/"request":"GET \/health"/g)?.length ?? 0;
  await until(() => checks() > 0, "a stranger's look at /health is logged");
  assert.equal(checks(), 1, "its own, for each sign of life, are not");

  const { instances } = (await daemon.cli(["status"])).json<{ instances: { pid: number }[] }>();
  const environment = readFileSync(`/proc/${instances[0]!.pid}/environ`, "utf8");
  assert.doesNotMatch(environment, /NOTIFY_SOCKET|WATCHDOG_/, "the child cannot speak for it");

  process.kill(daemon.pid, "SIGHUP");
  await heard("READY=1", 2);
  const reloading = socket.messages().find((message) => message.startsWith("RELOADING=1"));
  const micros = Number(/^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(reloading ?? "")?.[1]);
  const now = Number(process.hrtime.bigint() / 1000n);
  assert.ok(now - micros >= 0 && now - micros < 60e6, "on the monotonic clock");

  await until(() => daemon.log().includes("config reloaded"), "it was read");
  writeFileSync(daemon.configPath, "{");
  process.kill(daemon.pid, "SIGHUP");
  await heard("READY=1", 3);
  await until(() => daemon.log().includes("the one before stays in force"), "it says why");

  assert.equal(await daemon.stop(), 0);
  assert.equal(socket.messages().at(-1), "STOPPING=1\nSTATUS=stopping");
});

test("a daemon that stands still gives no sign of life", async (t) => {
  const socket = await openNotifySocket(t);
  if (socket === undefined) return t.skip(NO_KOFFI);
  const daemon = await startDaemon(t, {
    config: { servers: { echo: echoServer("http") } },
    env: { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: "1000000" },
  });
  const signs = () => socket.messages().filter((message) => message === "WATCHDOG=1").length;
  // Right behind a sign, so that it is not in the midst of finding out whether it may give the next.
  await until(() => signs() > 0, "it lives");
  const first = signs();
  await until(() => signs() > first, "it gives another sign");
  process.kill(daemon.pid, "SIGSTOP");
  // What was on its way when it stopped comes before this.
  await until(
    () => readFileSync(`/proc/${daemon.pid}/stat`, "utf8").includes(") T "),
    "it has stopped",
  );
  const before = signs();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal(signs(), before);
  process.kill(daemon.pid, "SIGCONT");
  await until(() => signs() > before, "it lives again");
  const why = /the watchdog is not fed: the event loop stood still for \d+ ms/;
  await until(() => why.test(daemon.log()), "the log says why it was not fed");
});

test("a listener that was handed over serves who connected before the daemon began, and reaches no child", async (t) => {
  if (!isInstalled("systemd-socket-activate")) return t.skip("systemd is not installed");
  const dir = daemonFolder(t);
  const config = join(dir, "supervisor.config.json");
  const port = await freePort();
  const servers = { echo: echoServer("http") };
  const listen = { host: "127.0.0.1", port };
  writeFileSync(config, JSON.stringify({ listen, isolation: "none", servers }));
  const daemon = spawn(
    "systemd-socket-activate",
    [
      `--listen=127.0.0.1:${port}`,
      "--fdname=gateway",
      process.execPath,
      "--no-warnings",
      PROGRAM,
      "serve",
      "--config",
      config,
      "--json",
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  let log = "";
  daemon.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  daemon.stderr.setEncoding("utf8").on("data", (chunk: string) => (log += chunk));
  const ended = once(daemon, "close");
  atEnd(t, async () => {
    daemon.kill("SIGTERM");
    await ended;
  });
  await until(() => log.includes("Listening on"), "somebody listens");
  // The daemon is only started for this one.
  const health = await ask(port, { path: "/health" });
  assert.equal(health.status, 200);
  await until(() => output.includes("\n"), "the daemon serves");
  assert.equal((JSON.parse(output) as { listen: { port: number } }).listen.port, port);

  const cli = async (...args: string[]) => await runCli(["--config", config, "--json", ...args]);
  const { key } = (await cli("user", "add", "alice")).json<AddedUser>();
  const headers = [...bearer(key.secret), ...json];
  const path = "/u/alice/echo/mcp";
  const answer = await ask(port, { method: "POST", path, body: initialize(), headers });
  assert.equal(answer.status, 200);
  const { instances } = (await cli("status")).json<{ instances: { pid: number }[] }>();
  const child = `/proc/${instances[0]!.pid}`;
  assert.doesNotMatch(readFileSync(`${child}/environ`, "utf8"), /LISTEN_/);
  const handed = readlinkSync(`/proc/${daemon.pid}/fd/3`);
  assert.match(handed, /^socket:/);
  const held = readdirSync(`${child}/fd`).map((name) => readlinkSync(`${child}/fd/${name}`));
  assert.ok(!held.includes(handed), "the child has no such socket");

  const events = await EventStream.open(port, { path: "/u/alice/echo/sse", headers });
  daemon.kill("SIGTERM");
  await ended;
  assert.match(events.text, /\n\nretry: 1000\n$/, "nobody is refused meanwhile");
});

test("a machine without koffi is told by systemd-notify", async (t) => {
  const socket = await openNotifySocket(t);
  if (socket === undefined) return t.skip(NO_KOFFI);
  if (!isInstalled("systemd-notify")) return t.skip("systemd is not installed");
  const withoutKoffi = `import { registerHooks } from "node:module";
    registerHooks({ resolve: (name, context, next) => {
      if (name === "koffi") throw new Error("not installed");
      return next(name, context);
    } });
    const { Notifier } = await import(${JSON.stringify(NOTIFY)});
    const notifier = new Notifier(${JSON.stringify(socket.path)}, (why) => console.error(why));
    notifier.send("READY=1", "STATUS=2 users, 0 children");
    notifier.send("WATCHDOG=1");`;
  const sender = spawn(
    process.execPath,
    ["--no-warnings", "--input-type=module", "--eval", withoutKoffi],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const complaints = text(sender.stderr);
  // systemd-notify waits until its messages are read: BARRIER=1 is how it asks.
  const messages = () => socket.messages().filter((message) => message !== "BARRIER=1");
  await until(() => messages().length === 2, "both were heard", 30_000);
  assert.deepEqual(messages(), ["READY=1\nSTATUS=2 users, 0 children", "WATCHDOG=1"]);
  await until(() => socket.messages().length === 4, "both were waited for", 30_000);
  assert.equal(await complaints, "");
});

test("a service manager that cannot be told is reported once, and the daemon goes on", async (t) => {
  const dir = daemonFolder(t);
  const daemon = await startDaemon(t, {
    dir,
    config: { servers: { echo: echoServer("http") } },
    env: { NOTIFY_SOCKET: join(dir, "nobody"), WATCHDOG_USEC: "200000" },
  });
  await until(() => daemon.log().includes("systemd cannot be told"), "it was reported");
  assert.equal((await ask(daemon.port, { path: "/health" })).status, 200);
  assert.equal(await daemon.stop(), 0);
  assert.equal(daemon.log().split("systemd cannot be told").length, 2);
});
