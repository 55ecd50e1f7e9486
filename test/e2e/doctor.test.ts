import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Overview } from "../../src/api/panel-types.ts";
import type { Diagnosis, RequestStory } from "../../src/api/types.ts";
import { orderControl } from "../helpers/control.ts";
import { atEnd, daemonFolder, startDaemon } from "../helpers/daemon.ts";
import type { AddedUser } from "../helpers/daemon.ts";
import { bearer, call, fixture, initialize, json } from "../helpers/fixtures.ts";
import { freePort } from "../helpers/free-port.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { serve } from "../helpers/serve.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const SKIPS_AHEAD = new URL("../helpers/skips-ahead.ts", import.meta.url).href;

const node = (source: string, rest: object = {}) => ({
  command: process.execPath,
  args: ["-e", source],
  ...rest,
});

/** One user with one fault, and what the first line must say. */
interface Fault {
  /** The server that the user's client asks for. */
  server?: string;
  /** What happens to the user before the client comes. */
  prepare?: (user: string, keyId: string) => Promise<unknown>;
  /** What the client does; a POST of `initialize` unless told. */
  act?: (user: string, secret: string) => Promise<unknown>;
  firstLine: RegExp;
}

interface Stage {
  port: number;
  /** An order of an admin: as the command line gives it, without a process for each. */
  order: <T>(method: string, path: string, body?: object) => Promise<T>;
  post: (path: string, secret: string, body?: string) => Promise<unknown>;
}

const SERVERS = (ports: { down: number; refuses: string }) => ({
  echo: fixture("http", "echo-sse"),
  "wrong-command": { type: "http", command: "no-such-program-anywhere" },
  "missing-module": node("require('a-module-that-is-not-there')", { type: "http" }),
  pinned: fixture("http", "echo-sse"),
  hungry: { ...fixture("sse", "hungry"), limits: { memory: "96M" } },
  tokenless: { url: `http://127.0.0.1:${ports.down}/mcp`, headers: { "X-Key": "${token}" } },
  down: { url: `http://127.0.0.1:${ports.down}/mcp` },
  refuses: { url: ports.refuses },
  elsewhere: { ...fixture("http", "never-ready"), startTimeout: "1s" },
  slow: node("setTimeout(() => {}, 1e6)", { startTimeout: "1s" }),
  crashing: fixture("sse", "crash-on-start"),
  chatty: node("setInterval(() => console.log('Listening on port 3000'), 100)", {
    startTimeout: "2s",
  }),
});

function faultsOf({ port, order, post }: Stage): Record<string, Fault> {
  const headersOf = (secret: string) => [...bearer(secret), ...json];
  return {
    "a command that is not there": {
      server: "wrong-command",
      firstLine: /^USER\/wrong-command: the child could not be started: .*no such program/,
    },
    "a module that is missing": {
      server: "missing-module",
      firstLine: /exited with code 1 before it was ready: .*Cannot find module 'a-module-that/,
    },
    "a port that somebody else has": {
      server: "pinned",
      firstLine: /^USER\/pinned: the child could not be started: its pinned port \d+ is held by/,
    },
    "a token that has expired": {
      prepare: async (user) => {
        const expired = { token: "an-old-token", expiresAt: Date.parse("2020-01-01T00:00:00Z") };
        await order("PUT", `/api/users/${user}/token`, expired);
      },
      firstLine: /^USER's general token expired \d+ d ago/,
    },
    "a child over its memory": {
      server: "hungry",
      act: async (user, secret) => {
        const stream = await EventStream.open(port, {
          path: `/u/${user}/hungry/sse`,
          headers: headersOf(secret),
        });
        const endpoint = await until(() => stream.endpoint, "the endpoint has come");
        await post(endpoint, secret, initialize("hello"));
        await until(() => stream.messages().length > 0, "the server has answered", 20_000);
        await post(endpoint, secret, call("more", "memory", { amount: 600 }));
        await until(() => stream.messages().length > 1, "the call has failed", 30_000);
        stream.close();
      },
      firstLine: /^USER\/hungry: the child was killed: over 96M/,
    },
    "a key that was revoked": {
      prepare: async (_user, keyId) => await order("DELETE", `/api/keys/${keyId}`),
      firstLine: /^USER: the access key mcps_\w{4}… of USER was revoked at /,
    },
    "a key that has expired": {
      act: async (user) => {
        const soon = { label: "laptop", expiresAt: Date.now() + 2000 };
        const { secret } = await order<{ secret: string }>("POST", `/api/users/${user}/keys`, soon);
        const path = `/u/${user}/echo/mcp`;
        // The request that is under way when the key ends is cut off with it.
        const knock = () => post(path, secret).catch(() => 0);
        await until(async () => (await knock()) === 401, "the key has expired", 20_000);
      },
      firstLine: /^USER: the access key mcps_\w{4}… \(laptop\) of USER expired at /,
    },
    "the key of another user": {
      act: async (user) => {
        const other = { user: `${user}-other` };
        const { key } = await order<AddedUser>("POST", "/api/users", other);
        await post(`/u/${user}/mcp`, key.secret);
      },
      firstLine: /^USER: the access key of USER-other is used on USER's path/,
    },
    "no key at all": {
      act: async (user) => await ask(port, { path: `/u/${user}/sse` }),
      firstLine: /^USER: a client sends no access key/,
    },
    "a client that points at the wrong path": {
      act: async (user, secret) =>
        await ask(port, { path: `/u/${user}/echo/sse/sse`, headers: headersOf(secret) }),
      firstLine: /^USER: a client asks for a path that is not there: GET \/u\/USER\/echo\/sse\/sse/,
    },
    "a client of the other transport": {
      act: async (user, secret) => await post(`/u/${user}/echo/sse`, secret),
      firstLine:
        /^USER: a client speaks another transport than the path: POST \/u\/USER\/echo\/sse/,
    },
    "no token for a remote": {
      server: "tokenless",
      firstLine: /^USER\/tokenless: the child could not be started: no token is set/,
    },
    "a remote that is down": {
      server: "down",
      firstLine: /^USER(\/down)?: .*(refused|ECONNREFUSED|cannot be reached)/i,
    },
    "a remote that answers 401": {
      server: "refuses",
      firstLine: /^USER(\/refuses)?: .*the server refused the user's token \(401\)/,
    },
    "a child that listens elsewhere": {
      server: "elsewhere",
      firstLine: /^USER\/elsewhere: the child was not ready within 1 s: nothing listens on port/,
    },
    "a child that says nothing": {
      server: "slow",
      firstLine: /^USER\/slow: the child was not ready within 1 s: it did not answer/,
    },
    "a child in a crash loop": {
      server: "crashing",
      act: async (user, secret) => {
        await post(`/u/${user}/crashing/mcp`, secret);
        await post(`/u/${user}/crashing/mcp`, secret);
      },
      firstLine:
        /^USER\/crashing: the child exited with code 3 before .*2 failures, tried again in/,
    },
    "a user who is disabled": {
      prepare: async (user) => await order("POST", `/api/users/${user}/disable`),
      firstLine: /^USER is disabled/,
    },
    "a host name that is not allowed": {
      act: async (user, secret) =>
        await askAs("supervisor.internal", port, `/u/${user}/mcp`, secret),
      firstLine: /^USER: a client uses a host name .*\(Host: supervisor\.internal\)/,
    },
    "a body that is too large": {
      act: async (user, secret) =>
        await post(`/u/${user}/mcp`, secret, call(1, "echo", { text: "x".repeat(80_000) })),
      firstLine: /^USER: a client sent too much: the body is over 64K, which is the limit/,
    },
    "too many streams": {
      act: async (user, secret) => {
        const path = `/u/${user}/echo/sse`;
        const headers = headersOf(secret);
        const open = await EventStream.open(port, { path, headers });
        const endpoint = await until(() => open.endpoint, "the endpoint has come");
        await post(endpoint, secret, initialize("hello"));
        await until(() => open.messages().length > 0, "the stream is in use", 20_000);
        await ask(port, { path, headers });
        open.close();
      },
      firstLine: /^USER: too many streams: 1 stream is open, which is the limit/,
    },
    "a child that writes garbage on stdout": {
      server: "chatty",
      firstLine: /^USER\/chatty: the child was not ready .*Listening on port 3000/,
    },
  };
}

/** A request under another name of this machine. */
async function askAs(host: string, port: number, path: string, secret: string): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const headers = { host, authorization: `Bearer ${secret}` };
    const req = request({ port, host: "127.0.0.1", path, headers, agent: false }, (res) => {
      res.resume().on("end", () => resolve(res.statusCode));
    });
    req.on("error", reject).end();
  });
}

async function inTurns<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>) {
  const rest = [...items];
  const lane = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

test("the first line of doctor names the cause of each of these faults", async (t) => {
  const remote = await serve(t, (_req, res) => void res.writeHead(401).end());
  const taken = createServer().listen(0, "127.0.0.1");
  await until(() => taken.listening, "a port is taken");
  t.after(() => taken.close());
  const { port: takenPort } = taken.address() as { port: number };
  const servers = SERVERS({
    down: await freePort(),
    refuses: new URL("/mcp", remote.url).href,
  });
  const from = 10_000 + (process.pid % 400) * 20;
  const daemon = await startDaemon(t, {
    config: {
      servers,
      defaultServer: "echo",
      ports: { from, to: from + 19, pin: { "user2/pinned": takenPort } },
      limits: { bodyBytes: "64K", streamsPerUser: 1 },
    },
  });
  const post: Stage["post"] = async (path, secret, body = initialize()) => {
    const headers = [...bearer(secret), ...json];
    return (await ask(daemon.port, { method: "POST", path, body, headers })).status;
  };
  const wrong: string[] = [];
  const told = new Map<string, string>();
  const order: Stage["order"] = async (method, path, body = {}) =>
    await orderControl(daemon.socket, method, path, body);
  const { port } = daemon;
  const faults = Object.entries(faultsOf({ port, order, post })).entries();
  await inTurns([...faults], 3, async ([index, [name, fault]]) => {
    const user = `user${index}`;
    const { server = "echo", prepare, act, firstLine } = fault;
    const { key } = await order<AddedUser>("POST", "/api/users", { user });
    await prepare?.(user, key.id);
    // What the client gets to see of it is not the question here.
    const client = act?.(user, key.secret) ?? post(`/u/${user}/${server}/mcp`, key.secret);
    await client.catch(() => undefined);
    const said = await daemon.cli(["doctor", user], { isForPeople: true });
    const [line = "", next = ""] = said.stdout.split("\n");
    told.set(user, line);
    const expected = new RegExp(firstLine.source.replaceAll("USER", user));
    if (!expected.test(line) || !/^ {2}→ ./.test(next) || said.code !== 1)
      wrong.push(`${name}: ${expected} ≠ ${said.stdout}${said.stderr}`);
  });
  assert.deepEqual(wrong, []);
  // The panel names them all, with the same words. What is counted in them has gone on.
  const { failing } = await order<Overview>("GET", "/api/overview");
  const shown = new Map(failing.map(({ user, cause }) => [user, cause]));
  const essence = (line = "none"): string => line.replaceAll(/\d+/g, "N").split("; ")[0]!;
  for (const [user, line] of told) assert.equal(essence(shown.get(user)), essence(line), user);
});

test("the first line of doctor says that a child is parked, why, and what ends that", async (t) => {
  const daemon = await startDaemon(t, {
    config: { servers: { crashing: fixture("http", "crash-on-start") } },
    env: { NODE_OPTIONS: `--import ${SKIPS_AHEAD}` },
  });
  const { key } = await daemon.addUser("alice");
  const headers = [...bearer(key.secret), ...json];
  const knock = async () =>
    await ask(daemon.port, { method: "POST", path: "/u/alice/mcp", body: initialize(), headers });
  const stateNow = async () => (await instancesOf(daemon))[0]?.state;
  await knock();
  const isParked = async (): Promise<boolean> => {
    if ((await stateNow()) === "parked") return true;
    process.kill(daemon.pid, "SIGUSR2");
    await knock();
    return false;
  };
  await until(isParked, "it has failed often enough", 120_000);
  const told = await daemon.cli(["doctor", "alice"], { isForPeople: true });
  const [line] = told.stdout.split("\n");
  assert.match(line!, /^alice\/crashing: the child exited with code 3 before it was ready/);
  assert.match(line!, /; parked after 10 failures in a row, until /);
  assert.match(
    line!,
    /until "mcp-supervisor restart alice --server crashing", a new token or config, or a message in \d/,
  );
  await daemon.cli(["restart", "alice", "--server", "crashing"]);
  assert.notEqual(await stateNow(), "parked", "what the line says ends it");
});

test("a full disk is named as what it is", async (t: TestContext) => {
  const dir = daemonFolder(t);
  const data = join(dir, "data");
  mkdirSync(data, { mode: 0o700 });
  const mount = spawnSync("mount", [
    "-t",
    "tmpfs",
    "-o",
    "size=8m,nr_inodes=64,mode=700",
    "tmpfs",
    data,
  ]);
  if (mount.status !== 0) return t.skip("a small file system cannot be mounted here");
  atEnd(t, () => spawnSync("umount", ["-l", data]));
  const servers = { echo: fixture("http", "echo-sse") };
  const daemon = await startDaemon(t, { dir, config: { servers } });
  const { key } = await daemon.addUser("alice");
  const ballast = join(data, "homes", "ballast");
  mkdirSync(ballast, { recursive: true });
  const fill = (): void => {
    for (let i = 0; i < 1000; i += 1) writeFileSync(join(ballast, String(i)), "");
  };
  assert.throws(fill, /ENOSPC/);
  const headers = [...bearer(key.secret), ...json];
  const path = "/u/alice/mcp";
  await ask(daemon.port, { method: "POST", path, body: initialize(), headers });
  const told = await daemon.cli(["doctor", "alice"], { isForPeople: true });
  assert.match(told.stdout, /^alice\/echo: .*the disk is full/);
  rmSync(ballast, { recursive: true });
});

test("nothing is wrong with a user whose calls are answered, whatever failed before", async (t) => {
  const daemon = await startDaemon(t, {
    config: { servers: { echo: fixture("http", "echo-sse") } },
  });
  const { key } = await daemon.addUser("alice", "token-of-alice");
  const before = (await daemon.cli(["doctor", "alice"])).json<Diagnosis>();
  assert.deepEqual([before.ok, before.cause, before.refused], [true, null, []]);
  const headers = [...bearer(key.secret), ...json];
  const path = "/u/alice/mcp";
  const opened = await ask(daemon.port, { method: "POST", path, body: initialize(), headers });
  const session = ["mcp-session-id", String(opened.headers["mcp-session-id"])];
  const body = call(1, "echo");
  const answered = await ask(daemon.port, {
    method: "POST",
    path,
    body,
    headers: [...headers, ...session],
  });
  assert.equal(answered.status, 200);
  const after = (await daemon.cli(["doctor", "alice"])).json<Diagnosis>();
  assert.equal(after.ok, true);
  assert.equal(after.lastGood?.tool, "echo");
  assert.equal(after.instances[0]?.state, "ready");
  const people = await daemon.cli(["doctor", "alice"], { isForPeople: true });
  assert.match(people.stdout, /^alice: nothing is wrong\n/);
  assert.doesNotMatch(people.stdout, /token-of-alice|mcps_\w{20}/);
  assert.equal((await daemon.cli(["doctor", "nobody"])).error().type, "USER_NOT_FOUND");
});

test("doctor --request tells what became of a request, after a restart of the daemon too", async (t) => {
  const dir = daemonFolder(t);
  const config = { servers: { broken: fixture("http", "crash-on-start") } };
  const first = await startDaemon(t, { dir, config });
  const { key } = await first.addUser("alice");
  const headers = [...bearer(key.secret), ...json];
  const path = "/u/alice/mcp";
  const refused = await ask(first.port, { method: "POST", path, body: initialize(), headers });
  const { error } = JSON.parse(refused.body) as { error: { data: { requestId: string } } };
  const { requestId } = error.data;
  const told = (await first.cli(["doctor", "--request", requestId])).json<RequestStory>();
  assert.equal(told.request?.code, "INSTANCE_EXITED");
  assert.ok(told.request.details.length > 0, "the last words of the child");
  assert.deepEqual(
    [told.request.user, told.request.server, told.request.status],
    ["alice", "broken", 502],
  );
  await first.stop();
  const second = await startDaemon(t, { dir, config });
  const people = await second.cli(["doctor", "--request", requestId], { isForPeople: true });
  assert.match(
    people.stdout,
    new RegExp(
      `^${requestId}: refusal POST /u/alice/mcp of alice/broken: INSTANCE_EXITED, .*code 3`,
    ),
  );
  assert.equal((await second.cli(["doctor", "--request", "never-seen"])).error().type, "NOT_FOUND");
  assert.equal((await second.cli(["doctor", "alice", "--request", requestId])).code, 2);
});

test("doctor checks the machine, with a daemon and without", async (t) => {
  const dir = daemonFolder(t);
  const npx = { command: "npx", args: ["-y", "some-server"] };
  const config = { servers: { echo: fixture("http", "echo-sse"), npx }, defaultServer: "echo" };
  const daemon = await startDaemon(t, { dir, config });
  interface Report {
    ok: boolean;
    findings: { check: string; outcome: string; found: string }[];
  }
  const withDaemon = (await daemon.cli(["doctor"])).json<Report>();
  const found = (report: Report, check: string) =>
    report.findings.find((finding) => finding.check === check);
  assert.equal(withDaemon.ok, true);
  assert.match(
    found(withDaemon, "daemon")!.found,
    new RegExp(`pid ${daemon.pid}, isolation in force: none`),
  );
  assert.match(
    found(withDaemon, "isolation of echo")!.found,
    /^none .*can read each other's tokens/,
  );
  assert.match(found(withDaemon, "key")!.found, /vault\.key, mode 0400/);
  assert.match(found(withDaemon, "limits")!.found, /; the daemon may have \d+ files open$/);
  assert.match(found(withDaemon, "config")!.found, /supervisor\.config\.json has mode 06/);
  assert.match(found(withDaemon, "database")!.found, /synchronous=FULL, read back/);
  assert.equal(found(withDaemon, "recipe of npx")!.outcome, "warning");
  await daemon.stop();
  const people = await daemon.cli(["doctor"], { isForPeople: true });
  assert.match(people.stdout, /^nothing failed; \d warnings\n/);
  assert.match(people.stdout, /warn {2}daemon: no daemon answers on /);
  assert.equal(people.code, 0);
  rmSync(join(daemon.dataDir, "vault.key"));
  const broken = await daemon.cli(["doctor"], { isForPeople: true });
  assert.match(broken.stdout, /^key: .*vault\.key is missing, and there is a database\n/);
  assert.equal(broken.code, 1);
});

test("the doctor takes key, levels and failing children from the daemon, whatever its own account has", async (t) => {
  const dir = daemonFolder(t);
  const credentials = join(dir, "credentials");
  mkdirSync(credentials, { mode: 0o700 });
  const key = join(credentials, "vault.key");
  writeFileSync(key, `${randomBytes(32).toString("base64")}\n`, { mode: 0o400 });
  const servers = {
    broken: fixture("http", "crash-on-start"),
    own: { ...fixture("http", "echo-sse"), isolation: "none" },
  };
  const daemon = await startDaemon(t, {
    dir,
    config: { servers, defaultServer: "broken" },
    env: { CREDENTIALS_DIRECTORY: credentials },
  });
  const alice = await daemon.addUser("alice", "token-of-alice");
  const headers = [...bearer(alice.key.secret), ...json];
  const path = "/u/alice/mcp";
  await ask(daemon.port, { method: "POST", path, body: initialize(), headers });
  await until(async () => (await instancesOf(daemon))[0]?.state === "backing-off", "it failed");
  const told = await daemon.cli(["doctor"], { isForPeople: true });
  assert.equal(told.code, 0, told.stdout);
  assert.match(told.stdout, /^ok {4}key: systemd credential .*vault\.key, mode 0400$/m);
  assert.match(told.stdout, /^warn {2}isolation of own: none \(config: none\)/m);
  assert.match(
    told.stdout,
    /^warn {2}child of alice\/broken: the child exited with code 3 before .*\n {6}→ mcp-supervisor doctor alice$/m,
  );
  // A reload may change what a server gets.
  const config = JSON.parse(readFileSync(daemon.configPath, "utf8")) as { servers: object };
  const added = { ...config.servers, added: fixture("http", "echo-sse") };
  writeFileSync(daemon.configPath, JSON.stringify({ ...config, servers: added }));
  await daemon.cli(["reload"]);
  const after = await daemon.cli(["doctor"], { isForPeople: true });
  assert.match(after.stdout, /^warn {2}isolation of added: none/m);
  rmSync(key);
  const gone = await daemon.cli(["doctor"], { isForPeople: true });
  assert.match(gone.stdout, /^key: systemd credential .* is gone, and the daemon will not start/);
  assert.equal(gone.code, 1);
});

test("doctor names a start that hangs at once, also when the client has left without an answer", async (t) => {
  const script = "console.error('settings.json: not found'); setTimeout(() => {}, 1e6)";
  const daemon = await startDaemon(t, {
    config: { servers: { slow: node(script, { type: "http", startTimeout: "60s" }) } },
  });
  const { key } = await daemon.addUser("alice");
  const client = request({
    host: "127.0.0.1",
    port: daemon.port,
    method: "POST",
    path: "/u/alice/mcp",
    headers: { authorization: `Bearer ${key.secret}`, "content-type": "application/json" },
    agent: false,
  });
  client.on("error", () => {});
  client.end(initialize());
  t.after(() => client.destroy());
  const doctor = async () =>
    JSON.parse((await daemon.cli(["doctor", "alice"])).stdout) as Diagnosis;
  const waiting = await until(async () => {
    const found = await doctor();
    return found.code === "START_SLOW" ? found : undefined;
  }, "the start is named");
  assert.match(waiting.cause!, /under way for \d+ s; 1 request waits for it: settings\.json: not/);
  client.destroy();
  const left = await until(async () => {
    const found = await doctor();
    return found.cause?.includes("nobody waits for it") === true ? found : undefined;
  }, "the client has left");
  assert.equal(left.lastGood, null, "a request that nobody answered did not go well");
});

test("doctor says that a server answers its calls with errors, until one goes well", async (t) => {
  const daemon = await startDaemon(t, {
    config: { servers: { one: fixture("http", "echo-sse") } },
  });
  const { key } = await daemon.addUser("alice");
  const headers = [...bearer(key.secret), ...json];
  const path = "/u/alice/mcp";
  const begun = await ask(daemon.port, { method: "POST", path, body: initialize(), headers });
  const session = [...headers, "mcp-session-id", String(begun.headers["mcp-session-id"])];
  const say = async (body: string) =>
    await ask(daemon.port, { method: "POST", path, body, headers: session });
  for (const id of [1, 2]) await say(call(id, "no-such-tool"));
  const doctor = async () =>
    JSON.parse((await daemon.cli(["doctor", "alice"])).stdout) as Diagnosis;
  const failing = await until(async () => {
    const found = await doctor();
    return found.code === "CALLS_FAIL" ? found : undefined;
  }, "the calls are named");
  assert.match(failing.cause!, /^alice\/one: .* the last 2 calls with errors, .* of no-such-tool$/);
  await say(call(3, "echo", { message: "well" }));
  await until(async () => (await doctor()).ok, "nothing is wrong any more");
});
