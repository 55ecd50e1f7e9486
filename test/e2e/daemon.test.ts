import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Status, StatusRow } from "../../src/api/types.ts";
import {
  daemonFolder,
  isListening,
  processesWith,
  runCli,
  startDaemon,
} from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { bearer, fixture } from "../helpers/fixtures.ts";
import { EventStream } from "../helpers/raw-http.ts";
import { isAlive } from "../helpers/leaks.ts";
import { until } from "../helpers/until.ts";

const ECHO = { defaultServer: "echo", servers: { echo: fixture("sse", "echo-sse") } };

const everything = (type: string, transport: string): object => ({
  type,
  command: process.execPath,
  args: [EVERYTHING, transport],
  env: { PORT: "${port}" },
});

const EVERYTHINGS = {
  defaultServer: "everything",
  servers: {
    everything: everything("sse", "sse"),
    other: everything("http", "streamableHttp"),
  },
};

async function rowsOf(daemon: TestDaemon): Promise<StatusRow[]> {
  return (await daemon.cli(["status"])).json<Status>().instances;
}

async function startChild(daemon: TestDaemon, user: string, server?: string): Promise<StatusRow> {
  const option = server === undefined ? [] : ["--server", server];
  const started = await daemon.cli(["start", user, ...option]);
  const [row] = started.json<{ instances: StatusRow[] }>().instances;
  assert.ok(row !== undefined && row.pid !== null);
  return row;
}

/** Asks with a real client for the environment of the child behind the URL. */
async function environmentAt(url: string, secret: string): Promise<Record<string, string>> {
  const options = { requestInit: { headers: { authorization: `Bearer ${secret}` } } };
  const client = new Client({ name: "test", version: "1" });
  await client.connect(
    url.endsWith("/sse")
      ? new SSEClientTransport(new URL(url), options)
      : new StreamableHTTPClientTransport(new URL(url), options),
  );
  try {
    const { content } = await client.callTool({ name: "get-env" });
    return JSON.parse((content as { text: string }[])[0]?.text ?? "") as Record<string, string>;
  } finally {
    await client.close();
  }
}

test("two users reach two children, each with its own token and nothing of the daemon", async (t) => {
  const daemon = await startDaemon(t, {
    config: EVERYTHINGS,
    env: { DAEMON_ONLY: "canary-of-the-daemon" },
  });
  const tokens = { alice: "token-of-alice", bob: "token-of-bob" };
  for (const [user, token] of Object.entries(tokens)) {
    const { key, urls } = await daemon.addUser(user, token);
    const own = [urls[0]?.sse ?? "", urls[1]?.http ?? ""];
    for (const url of own) {
      const environment = await environmentAt(url, key.secret);
      assert.equal(environment["USER_ACCESS_TOKEN"], token);
      const text = JSON.stringify(environment);
      assert.doesNotMatch(text, /canary/);
      for (const other of Object.values(tokens))
        assert.equal(text.includes(other), other === token, `${user} at ${url}`);
    }
  }
  const rows = await rowsOf(daemon);
  assert.deepEqual(
    rows.map(({ user, server, state }) => `${user}/${server} ${state}`),
    ["alice/everything ready", "alice/other ready", "bob/everything ready", "bob/other ready"],
  );
  assert.equal(new Set(rows.map(({ pid }) => pid)).size, 4);
});

test("after a new token messages reach a child that has it, as soon as that is ready", async (t) => {
  const daemon = await startDaemon(t, { config: EVERYTHINGS });
  const { key, urls } = await daemon.addUser("alice", "first");
  const url = urls[1]?.http ?? "";
  assert.equal((await environmentAt(url, key.secret))["USER_ACCESS_TOKEN"], "first");
  const set = await daemon.cli(["token", "set", "alice", "--token-stdin"], { input: "second\n" });
  assert.equal(set.code, 0, set.stderr);
  const isReplaced = async (): Promise<boolean> =>
    (await rowsOf(daemon)).every(({ generation }) => generation === 2);
  await until(isReplaced, "another child serves, and the old one has ended");
  assert.equal((await environmentAt(url, key.secret))["USER_ACCESS_TOKEN"], "second");
  assert.equal((await daemon.cli(["token", "clear", "alice"])).code, 0);
  assert.equal("USER_ACCESS_TOKEN" in (await environmentAt(url, key.secret)), false);
});

for (const [signal, server] of [
  ["SIGTERM", "forks-grandchild"],
  ["SIGINT", "echo-sse"],
] as const) {
  test(`${signal} ends the daemon with 0 and leaves no child, port or socket`, async (t) => {
    const daemon = await startDaemon(t, {
      config: { defaultServer: "a", servers: { a: fixture("sse", server) } },
    });
    await daemon.addUser("alice");
    const { pid, port } = await startChild(daemon, "alice");
    const stream = await EventStream.open(daemon.port, {
      path: "/u/alice/sse",
      headers: bearer(
        (await daemon.cli(["key", "issue", "alice"])).json<{ secret: string }>().secret,
      ),
    });
    assert.equal(await daemon.stop(signal), 0);
    assert.equal(isAlive(pid ?? 0), false);
    assert.equal(await isListening(port ?? 0), false);
    assert.equal(existsSync(daemon.socket), false);
    await until(() => stream.isEnded, "the client's stream ends");
    // One of the fixture's grandchildren left the group, which level none cannot follow.
    for (const stray of processesWith(daemon.dir)) process.kill(stray, "SIGKILL");
  });
}

test("a second signal ends at once what the first one waits for", async (t) => {
  const daemon = await startDaemon(t, {
    config: {
      defaultServer: "stubborn",
      servers: { stubborn: fixture("sse", "ignores-sigterm") },
      stopTimeout: "60s",
    },
    mayOrphan: true,
  });
  await daemon.addUser("alice");
  const { pid } = await startChild(daemon, "alice");
  const ended = daemon.stop("SIGTERM");
  await until(() => daemon.log().includes("stopping"), "the daemon has the first signal");
  process.kill(daemon.pid, "SIGTERM");
  assert.equal(await ended, 1);
  await until(() => !isAlive(pid ?? 0), "the child is killed", 2_000);
});

test("a failure that nobody caught is logged, ends with 1 and leaves no child", async (t) => {
  const planted =
    "data:text/javascript,process.on('SIGUSR2',()=>void(Promise.reject(new(Error)('planted'))))";
  const daemon = await startDaemon(t, {
    config: ECHO,
    env: { NODE_OPTIONS: `--import=${planted}` },
  });
  await daemon.addUser("alice");
  const { pid } = await startChild(daemon, "alice");
  assert.equal(await daemon.stop("SIGUSR2"), 1);
  assert.match(daemon.log(), /"level":"fatal".*planted/);
  assert.equal(isAlive(pid ?? 0), false);
});

test("a second daemon on the same data exits 1 and leaves the first one as it is", async (t) => {
  const first = await startDaemon(t, { config: ECHO });
  await first.addUser("alice");
  const second = await runCli(["serve", "--config", first.configPath]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /another daemon runs on this folder/);
  assert.equal(second.stdout, "");
  assert.equal((await first.cli(["user", "show", "alice"])).code, 0);
});

test("what was acknowledged is there after kill -9, and the stale socket is no obstacle", async (t) => {
  const dir = daemonFolder(t);
  const first = await startDaemon(t, { config: ECHO, dir, mayOrphan: true });
  const { key } = await first.addUser("alice", "kept");
  const before = (await first.cli(["token", "show", "alice"])).stdout;
  await first.stop("SIGKILL");
  assert.ok(existsSync(first.socket));
  const second = await startDaemon(t, { config: ECHO, dir });
  assert.equal((await second.cli(["token", "show", "alice"])).stdout, before);
  const stream = await EventStream.open(second.port, {
    path: "/u/alice/sse",
    headers: bearer(key.secret),
  });
  assert.equal(stream.status, 200);
  stream.close();
});

test("a port that is taken is one clear sentence", async (t) => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const dir = daemonFolder(t);
  const config = join(dir, "supervisor.config.json");
  writeFileSync(
    config,
    JSON.stringify({ ...ECHO, isolation: "none", listen: { host: "127.0.0.1", port } }),
  );
  const served = await runCli(["serve", "--config", config]);
  assert.equal(served.code, 1);
  assert.match(
    served.stderr,
    new RegExp(
      `^mcp-supervisor: cannot listen on 127\\.0\\.0\\.1:${port}: something else listens there$`,
      "m",
    ),
  );
  assert.equal(existsSync(join(dir, "data", "control.sock")), false);
});

test("without users serve prints the one command that adds one, and that command works", async (t) => {
  const dir = daemonFolder(t);
  const daemon = await startDaemon(t, { config: ECHO, dir, isForPeople: true });
  const command = /^ {2}(.* user add alice)$/m.exec(daemon.output())?.[1];
  assert.ok(command !== undefined, daemon.output());
  const added = spawnSync("sh", ["-c", command], { encoding: "utf8" });
  assert.equal(added.status, 0, added.stderr);
  assert.match(added.stdout, /alice is added/);
  await daemon.stop();
  const again = await startDaemon(t, { config: ECHO, dir, isForPeople: true });
  assert.doesNotMatch(again.output(), /user add/);
});

test("files of the data folder are the owner's alone, and one that is not is refused with 78", async (t) => {
  const dir = daemonFolder(t);
  const daemon = await startDaemon(t, { config: ECHO, dir });
  const { key: issued } = await daemon.addUser("alice", "x");
  await startChild(daemon, "alice");
  const open = spawnSync("find", [daemon.dataDir, "-perm", "/077", "-not", "-type", "l"], {
    encoding: "utf8",
  });
  assert.equal(open.stdout, "", "nothing is open to others");
  await daemon.stop();
  const key = join(daemon.dataDir, "vault.key");
  chmodSync(key, 0o444);
  const refused = await runCli(["serve", "--json", "--config", daemon.configPath]);
  assert.deepEqual([refused.code, refused.error().type], [78, "KEY_FILE_REFUSED"]);
  chmodSync(key, 0o400);
  assert.ok(!readFileSync(join(daemon.dataDir, "mcp-supervisor.db")).includes(issued.secret));
});
