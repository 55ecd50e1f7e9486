import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { askControl, orderControl } from "../helpers/control.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { startFed } from "../helpers/fed.ts";
import { call, fixture, initialize, json } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

test("two hundred calls that come at once for a token that is yet to be fetched make one call, and all carry what it gave; a kill in the midst of the next is found out", async (t) => {
  const remote = await record(t);
  const headers = { Authorization: "Bearer ${token}" };
  const { rig, provider, set } = await startFed(
    t,
    { kind: "oauth2" },
    {
      one: { url: `${remote.origin}/mcp`, headers },
    },
  );
  assert.equal((await set("one")).code, 0);
  assert.equal(provider.calls.length, 0);
  const posts = Array.from({ length: 200 }, (_, id) => rig.post("/u/alice/one/mcp", call(id, "x")));
  const answers = await Promise.all(posts);
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  assert.deepEqual(
    provider.calls.map(({ outcome }) => outcome),
    ["ok"],
  );
  const sent = new Set(remote.requests.map((request) => request.headers.authorization));
  assert.deepEqual([...sent], ["Bearer u-alice-1"]);

  // The next one is in force with the next request, and the old one is not sent again.
  const before = remote.requests.length;
  assert.equal((await rig.daemon.cli(["token", "refresh", "alice"])).code, 0);
  await rig.post("/u/alice/one/mcp", call("next", "x"));
  const since = remote.requests.slice(before).map((request) => request.headers.authorization);
  assert.deepEqual([...new Set(since)], ["Bearer u-alice-2"]);

  // The provider has answered, and nobody has stored it.
  provider.beforeAnswer = () => void process.kill(rig.daemon.pid, "SIGKILL");
  assert.notEqual((await rig.daemon.cli(["token", "refresh", "alice"])).code, 0);
  await rig.daemon.stop();
  provider.beforeAnswer = () => {};
  const config = JSON.parse(readFileSync(rig.daemon.configPath, "utf8")) as Record<string, unknown>;
  const { socket, port } = await startDaemon(t, { dir: rig.daemon.dir, config });
  const isLost = async () => {
    const { tokens } = await orderControl<{
      tokens: { grant: { needsReauth: { reason: string } | null } | null }[];
    }>(socket, "GET", "/api/users/alice/token?server=one");
    return tokens[0]?.grant?.needsReauth;
  };
  assert.equal(
    (await until(isLost, "it is found out", 5000)).reason,
    "crash window: invalid_grant",
  );
  remote.requests.length = 0;
  const asAlice = [...rig.auth, ...json];
  const hello = { method: "POST", path: "/u/alice/one/mcp", body: initialize(), headers: asAlice };
  assert.equal((await ask(port, hello)).status, 200);
  const late = remote.requests.map((request) => request.headers.authorization);
  assert.deepEqual([...new Set(late)], ["Bearer u-alice-2"]);
  const { body } = await askControl(socket, "GET", "/metrics");
  assert.match(body, /provider_refreshes_total\{provider="sso",outcome="terminal"\} 1\n/);
});

test("a child is started with what its provider gives, and another takes over with the next token", async (t) => {
  const { rig, provider, set } = await startFed(
    t,
    { kind: "feishu-v2" },
    { one: fixture("http", "echo-sse") },
  );
  const { daemon } = rig;
  await set("one");
  const session = await rig.http("one");
  const tokenOf = async (id: string): Promise<unknown> => {
    const { body } = await rig.post("/u/alice/one/mcp", call(id, "env"), session);
    return /u-alice-\d+/.exec(body)?.[0];
  };
  assert.equal(await tokenOf("first"), "u-alice-1");
  const { pid } = await rig.row("one");
  const refreshed = await daemon.cli(["token", "refresh", "alice", "--server", "one"]);
  assert.deepEqual(refreshed.json(), {
    user: "alice",
    refreshed: [{ server: "one", failure: null }],
  });
  await until(async () => (await rig.row("one")).pid !== pid, "another child has taken over");
  const shown = (await daemon.cli(["token", "show", "alice"])).json<{
    tokens: { server: string | null; grant: { provider: string; lastResult: string } | null }[];
  }>();
  const grant = shown.tokens.find(({ server }) => server === "one")?.grant;
  assert.deepEqual([grant?.provider, grant?.lastResult], ["sso", "ok"]);

  const plain = await daemon.cli(["token", "set", "alice", "--server", "one", "--token-stdin"], {
    input: "a-plain-token",
  });
  assert.equal(plain.code, 1);
  assert.match(plain.stderr, /TOKEN_OF_PROVIDER/);

  // Its refresh token is used up behind our back.
  provider.grant("alice");
  const failed = await daemon.cli(["token", "refresh", "alice", "--server", "one"]);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /TOKEN_EXPIRED.*20073/);
  const told = (await daemon.cli(["doctor", "alice"])).json<{ warnings: string[] }>();
  assert.match(
    told.warnings.join(),
    /alice's token for one is over in .*, and sso refreshes it no more: 20073/,
  );
  assert.doesNotMatch(daemon.log(), /ur-alice|u-alice|secret-of-the-client/);
});

test("a token that is over and not to be had again: tool calls are refused and nothing else, until there is one", async (t) => {
  const servers = { one: fixture("sse", "echo-sse") };
  const { rig, provider, set } = await startFed(t, { kind: "oauth2", expiresIn: 4 }, servers);
  await set("one");
  const { stream, endpoint } = await rig.sse("one");
  const answerOf = async (id: string, body: string) => {
    assert.equal((await rig.post(endpoint, body)).status, 202);
    return await until(() => stream.messages().find((one) => one.id === id), `${id} is answered`);
  };
  provider.grant("alice");
  await rig.daemon.cli(["token", "refresh", "alice"]);
  const shown = (await rig.daemon.cli(["token", "show", "alice"])).json<{
    tokens: { server: string | null; expiresAt: number }[];
  }>();
  const { expiresAt } = shown.tokens.find(({ server }) => server === "one")!;
  assert.equal(
    (await answerOf("while it serves", call("while it serves", "env"))).error,
    undefined,
  );
  await until(() => Date.now() > expiresAt, "the token is over");
  const refused = await answerOf("late", call("late", "env"));
  assert.match(
    refused.error?.message ?? "",
    /the token has expired, and sso no longer refreshes it/,
  );
  const list = JSON.stringify({ jsonrpc: "2.0", id: "list", method: "tools/list" });
  assert.equal((await answerOf("list", list)).error, undefined);
  const { stdout } = await rig.daemon.cli(["doctor", "alice"]);
  const told = JSON.parse(stdout) as { code: string; next: string };
  assert.deepEqual(
    [told.code, told.next],
    [
      "TOKEN_EXPIRED",
      `alice opens ${rig.daemon.origin}/u/alice/connect/one , or mcp-supervisor token set alice --server one --refresh-token-stdin`,
    ],
  );

  await set("one");
  const again = await answerOf("again", call("again", "env"));
  assert.equal(again.error, undefined);
  assert.match(JSON.stringify(again.result), /u-alice-2/);
});

test("a child with a token file goes on with the next token in it, which it can read and not write", async (t) => {
  const servers = { one: { ...fixture("sse", "echo-sse"), tokenFile: true } };
  const { rig, set } = await startFed(t, { kind: "feishu-v1" }, servers);
  await set("one");
  const { stream, endpoint } = await rig.sse("one");
  await rig.post(endpoint, call("env", "env"));
  const answer = await until(() => stream.messages().find(({ id }) => id === "env"), "it answers");
  const { content } = answer.result as { content: { text: string }[] };
  const env = JSON.parse(content[0]!.text) as Record<string, string>;
  const file = env["USER_ACCESS_TOKEN_FILE"]!;
  assert.equal(env["USER_ACCESS_TOKEN"], undefined);
  assert.equal(readFileSync(file, "utf8"), "u-alice-1");
  assert.equal(statSync(file).mode & 0o222, 0, "nobody may write it");
  assert.equal(file.startsWith(env["HOME"]!), false);
  const { pid } = await rig.row("one");
  assert.equal((await rig.daemon.cli(["token", "refresh", "alice"])).code, 0);
  assert.equal(readFileSync(file, "utf8"), "u-alice-2");
  assert.equal((await rig.row("one")).pid, pid);
  await rig.daemon.cli(["stop", "alice"]);
  assert.equal(existsSync(path.dirname(file)), false);
});
