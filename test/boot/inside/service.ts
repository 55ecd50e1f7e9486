// The service on a bare system, from install to uninstall; each test goes on where the last one ended.
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { callTool } from "./client.ts";
import {
  CGROUP,
  PACKAGE,
  SERVICE,
  SLOWNESS,
  health,
  isAlive,
  mainPid,
  ours,
  oursAside,
  processes,
  property,
  run,
  serving,
  systemctl,
  systemctlAside,
  until,
} from "./system.ts";

const CONFIG = "/etc/mcp-supervisor/supervisor.config.json";
const UNIT = `/etc/systemd/system/${SERVICE}`;
const DROP_IN = `/etc/systemd/system/${SERVICE}.d/test.conf`;

const isListening = (): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(8040, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });

interface Installed {
  steps: { what: string; outcome: string }[];
  exposure: number | null;
  complaints: string[];
  next: string;
}
interface Added {
  key: { secret: string };
  urls: { http: string; sse: string }[];
}

test("where a sandbox cannot be made, install says all that is missing, and makes nothing", () => {
  const tools = ["/usr/bin/bwrap", "/usr/bin/slirp4netns"];
  for (const file of tools) renameSync(file, `${file}.away`);
  const { code, stderr } = run("mcp-supervisor", ["--json", "service", "install"]);
  for (const file of tools) renameSync(`${file}.away`, file);
  assert.equal(code, 1);
  const { error } = JSON.parse(stderr) as { error: { details: string[] } };
  assert.deepEqual(error.details.slice(0, 2), [
    "missing: bubblewrap is not installed",
    "missing: slirp4netns is not installed",
  ]);
  assert.equal(error.details.at(-1), "  apt install bubblewrap slirp4netns");
  assert.ok(!existsSync(UNIT) && !existsSync("/etc/mcp-supervisor"), "nothing was made");
});

test("install makes everything, starts nothing, and names the next command", () => {
  const dry = ours<Installed>(["service", "install", "--dry-run"]);
  const other = ours<Installed>(["service", "install", "--dry-run", "--user", "mcp-other"]);
  assert.deepEqual(other.steps[0], { what: "account mcp-other", outcome: "made" });
  assert.ok(!existsSync(UNIT) && !existsSync("/etc/mcp-supervisor"), "a rehearsal makes nothing");
  const done = ours<Installed>(["service", "install"]);
  assert.deepEqual(done.steps, dry.steps);
  assert.ok(done.steps.every(({ outcome }) => outcome === "made"));
  assert.deepEqual(done.complaints, []);
  assert.ok(done.exposure !== null && done.exposure <= 3.4, `exposure ${done.exposure}`);
  assert.equal(done.next, "systemctl enable --now mcp-supervisor");
  assert.equal(statSync("/etc/mcp-supervisor/vault.key").mode & 0o777, 0o400);
  assert.equal(statSync("/etc/mcp-supervisor/vault.key").uid, 0);
  assert.equal(statSync(CONFIG).mode & 0o777, 0o640);
  assert.notEqual(run("systemctl", ["is-active", SERVICE]).code, 0);
});

test("doctor as root tells of what the service's account gets", () => {
  const { stdout } = run("mcp-supervisor", ["--config", CONFIG, "doctor"]);
  assert.match(stdout, /^ok {4}account: isolation is what the account mcp-supervisor of the/m);
  assert.match(stdout, /^ok {4}isolation of everything: sandbox/m);
});

test("a second install changes nothing", () => {
  const before = readFileSync("/etc/mcp-supervisor/vault.key", "utf8");
  const done = ours<Installed>(["service", "install"]);
  assert.ok(done.steps.every(({ outcome }) => outcome === "kept"));
  assert.equal(readFileSync("/etc/mcp-supervisor/vault.key", "utf8"), before);
});

test("a unit that somebody else wrote is left alone", () => {
  const own = readFileSync(UNIT, "utf8");
  writeFileSync(UNIT, "[Service]\nExecStart=/bin/true\n");
  const { code, stderr } = run("mcp-supervisor", ["--json", "service", "install"]);
  const removal = run("mcp-supervisor", ["--json", "service", "uninstall"]);
  assert.deepEqual([code, removal.code], [1, 1]);
  assert.match(stderr, /was not made by this program, and is left alone/);
  assert.equal(readFileSync(UNIT, "utf8"), "[Service]\nExecStart=/bin/true\n");
  writeFileSync(UNIT, own);
});

/** What `status` says of alice's instance of the server. */
function instance(server: string): { pid: number; reason: string; isolation: string } | undefined {
  const { instances } = ours<{
    instances: { user: string; server: string; pid: number; reason: string; isolation: string }[];
  }>(["status"]);
  return instances.find((row) => row.user === "alice" && row.server === server);
}

let alice: Added;
test("the next command starts a service without privileges that a real client can call", async () => {
  const config = JSON.parse(readFileSync(CONFIG, "utf8")) as object;
  writeFileSync(CONFIG, JSON.stringify({ ...config, startTimeout: `${30 * SLOWNESS}s` }));
  systemctl("enable", "--now", "mcp-supervisor");
  await serving();
  const status = readFileSync(`/proc/${mainPid()}/status`, "utf8");
  assert.match(status, /^CapEff:\t0+$/m);
  assert.match(status, /^CapBnd:\t0+$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
  assert.doesNotMatch(status, /^Uid:\t0\t/m);
  alice = ours<Added>(["user", "add", "alice", "--token-stdin"], "token-of-alice");
  for (const front of ["http", "sse"] as const) {
    const said = await callTool(front, alice.urls[0]![front], alice.key.secret, "get-env");
    assert.match(said, /token-of-alice/);
    assert.doesNotMatch(said, /NOTIFY_SOCKET|LISTEN_FDS|WATCHDOG_USEC|CREDENTIALS_DIRECTORY/);
  }
  await until(() => property("StatusText") === "1 user, 1 child", "systemd shows the counts");
  assert.equal(instance("everything")?.isolation, "sandbox");
});

test("the vault key is a credential that the service can read and other accounts cannot", () => {
  const credential = `/run/credentials/${SERVICE}/vault.key`;
  const as = (user: string) => {
    const uid = run("id", ["-u", user]).stdout.trim();
    return run("setpriv", [`--reuid=${uid}`, "--clear-groups", "cat", credential]);
  };
  assert.equal(as("mcp-supervisor").code, 0);
  assert.notEqual(as("nobody").code, 0);
  assert.ok(!existsSync("/var/lib/mcp-supervisor/vault.key"), "there is no second copy");
  const key = readFileSync("/etc/mcp-supervisor/vault.key", "latin1").trim();
  assert.ok(!readFileSync(`/proc/${mainPid()}/environ`, "latin1").includes(key));
});

interface Checkup {
  ok: boolean;
  findings: { check: string; outcome: string; found: string }[];
}

test("the doctor finds nothing failed in a service that runs, and sees the key that the service has", () => {
  const { ok, findings } = ours<Checkup>(["doctor"]);
  assert.ok(ok, JSON.stringify(findings));
  const found = (check: string) => findings.find((finding) => finding.check === check)?.found ?? "";
  assert.ok(found("key").startsWith(`systemd credential /run/credentials/${SERVICE}/vault.key`));
  assert.match(found("isolation of everything"), /^sandbox \(config: auto\)/);
  assert.match(found("limits"), /the daemon may have \d{4,} files open/);
});

test("no connection is refused while the service restarts under load", async () => {
  const seen = { answered: 0, reset: 0, refused: 0 };
  const load = new AbortController();
  const knock = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(8040, "127.0.0.1");
      let said = "";
      socket.on("connect", () =>
        socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
      );
      socket.on("data", (chunk) => (said += chunk.toString("latin1")));
      socket.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ECONNREFUSED") seen.refused += 1;
      });
      socket.on("close", () => {
        if (said.startsWith("HTTP/1.1 200")) seen.answered += 1;
        else seen.reset += 1;
        resolve();
      });
    });
  const visitors = Array.from({ length: 16 }, async () => {
    while (!load.signal.aborted) await knock();
  });
  try {
    for (let round = 0; round < 3; round += 1) {
      const before = mainPid();
      await systemctlAside("restart", SERVICE);
      await until(() => mainPid() !== before, "it is another process");
      await sleep(300);
    }
  } finally {
    load.abort();
  }
  await Promise.all(visitors);
  console.log(`# restarts under load: ${JSON.stringify(seen)}`);
  assert.equal(seen.refused, 0);
  assert.ok(seen.answered > 20, "there was load");
});

test("a reload is announced and keeps the process", async () => {
  const before = mainPid();
  systemctl("reload", SERVICE);
  await serving();
  assert.equal(mainPid(), before);
});

test("a daemon that stands still is killed by the watchdog and comes back", async () => {
  mkdirSync(`/etc/systemd/system/${SERVICE}.d`, { recursive: true });
  const limitS = 4 * SLOWNESS;
  writeFileSync(DROP_IN, `[Service]\nWatchdogSec=${limitS}s\n`);
  systemctl("daemon-reload");
  systemctl("restart", SERVICE);
  await serving();
  // While it is healthy it outlives its limit.
  const first = mainPid();
  await sleep(limitS * 1500);
  assert.equal(mainPid(), first);
  const restarts = Number(property("NRestarts"));
  process.kill(first, "SIGSTOP");
  await until(() => Number(property("NRestarts")) > restarts, "it was restarted", 60_000);
  await serving(first);
  assert.match(run("journalctl", ["-u", SERVICE, "-o", "cat"]).stdout, /Watchdog timeout/);
  rmSync(DROP_IN);
  systemctl("daemon-reload");
  systemctl("restart", SERVICE);
  await serving();
});

test("kill -9 of the daemon while children start leaves none of them", async () => {
  const keys = new Map<string, Added>([["alice", alice]]);
  for (let index = 0; index < 5; index += 1)
    keys.set(`user${index}`, await oursAside<Added>(["user", "add", `user${index}`]));
  for (let round = 0; round < 5; round += 1) {
    const daemon = mainPid();
    const calls = [...keys.values()].map(({ urls, key }) =>
      callTool("http", urls[0]!.http, key.secret, "get-env").catch(() => undefined),
    );
    await until(() => processes().length > 1, "a child has begun");
    await sleep(round * 60);
    const before = processes();
    process.kill(daemon, "SIGKILL");
    await until(() => !before.some(isAlive), `all ${before.length} are gone`, 2000);
    await Promise.all(calls);
    await serving(daemon);
  }
});

test("a child over its memory is killed and reported as such, and no other is", async () => {
  const good = readFileSync(CONFIG, "utf8");
  const config = JSON.parse(good) as { servers: Record<string, object> };
  const hog = `process.stdin.once("data", () => {
    const held = [];
    setInterval(() => held.push(Buffer.alloc(2 ** 24, 1)), 20);
  })`;
  config.servers["hog"] = {
    command: process.execPath,
    args: ["-e", hog],
    limits: { memory: "256M" },
  };
  writeFileSync(CONFIG, JSON.stringify(config));
  systemctl("reload", SERVICE);
  const { http } = alice.urls[0]!;
  await callTool("http", http, alice.key.secret, "get-env");
  const bystander = instance("everything")?.pid;
  const failure = callTool(
    "http",
    "http://127.0.0.1:8040/u/alice/hog/mcp",
    alice.key.secret,
    "any",
  );
  await assert.rejects(failure, /over 256M/);
  assert.match(instance("hog")?.reason ?? "", /over 256M/);
  assert.equal(instance("everything")?.pid, bystander);
  // Where the kernel has the controllers it is the kernel that keeps the limits.
  const controllers = readFileSync(`${CGROUP}/cgroup.controllers`, "utf8");
  const delegated = readFileSync(`${CGROUP}/cgroup.subtree_control`, "utf8");
  for (const name of ["cpu", "memory", "pids"])
    if (controllers.includes(name)) assert.ok(delegated.includes(name), `${name} is delegated`);
  if (delegated.includes("cpu"))
    assert.equal(
      readFileSync(`${CGROUP}/supervisor/cpu.weight`, "utf8").trim(),
      "1000",
      "the daemon comes before its children",
    );
  console.log(`# controllers: ${delegated.trim() || "none"}`);
  writeFileSync(CONFIG, good);
  systemctl("reload", SERVICE);
});

test("a bad config is not tried again, and shuts the door, for whoever knocks would start it", async () => {
  const good = readFileSync(CONFIG, "utf8");
  writeFileSync(CONFIG, "{");
  const knocking = health();
  run("systemctl", ["restart", SERVICE]);
  await until(() => property("ActiveState") === "failed", "it has failed", 30_000);
  assert.equal(property("ExecMainStatus"), "78");
  await knocking;
  await until(async () => !(await isListening()), "the door is shut", 30_000);
  writeFileSync(CONFIG, good);
  // What root's own sandboxes would be is not the question here, so the exit code is not either.
  const { findings } = JSON.parse(run("mcp-supervisor", ["--json", "doctor"]).stdout) as Checkup;
  const key = findings.find(({ check }) => check === "key");
  assert.equal(key?.found, "/etc/mcp-supervisor/vault.key, mode 0400", "the key without a daemon");
  systemctl("start", SERVICE);
  await serving();
});

test("without koffi the unit lets systemd-notify speak for the daemon", async () => {
  const koffi = `${PACKAGE}/node_modules/koffi`;
  renameSync(koffi, `${koffi}.away`);
  const done = ours<Installed>(["service", "install"]);
  assert.match(readFileSync(UNIT, "utf8"), /^NotifyAccess=all$/m);
  assert.equal(done.next, "systemctl restart mcp-supervisor");
  systemctl("restart", SERVICE);
  await serving();
  await until(() => /^\d+ users, 0 children$/.test(property("StatusText")), "the status came");
  renameSync(`${koffi}.away`, koffi);
  ours(["service", "install"]);
  systemctl("restart", SERVICE);
  await serving();
});

test("uninstall stops the service, takes its units away and keeps the data", async () => {
  const done = ours<{ removed: string[]; kept: string[] }>(["service", "uninstall"]);
  assert.equal(done.removed.length, 2);
  assert.deepEqual(done.kept, ["/etc/mcp-supervisor", "/var/lib/mcp-supervisor"]);
  assert.ok(!existsSync(UNIT) && existsSync("/var/lib/mcp-supervisor/mcp-supervisor.db"));
  assert.equal(await health(), false);
  assert.deepEqual(processes(), []);
  assert.deepEqual(ours<{ removed: string[] }>(["service", "uninstall"]).removed, []);
});

test("installed again it serves the same users, and a purge leaves nothing", async () => {
  ours(["service", "install"]);
  systemctl("enable", "--now", "mcp-supervisor");
  await serving();
  const said = await callTool("http", alice.urls[0]!.http, alice.key.secret, "get-env");
  assert.match(said, /token-of-alice/);
  ours(["service", "uninstall", "--purge"]);
  assert.ok(!existsSync("/etc/mcp-supervisor") && !existsSync("/var/lib/mcp-supervisor"));
});
