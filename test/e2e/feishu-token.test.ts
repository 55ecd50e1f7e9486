import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as HttpV2,
} from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CLIENT, StrictProvider } from "../fixtures/providers/strict.ts";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { bearer, call, initialize, json } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

interface Rig {
  daemon: TestDaemon;
  provider: StrictProvider;
  /** Access keys by user. */
  keys: Record<"alice" | "bob", string>;
}

/** A daemon with a server whose clients name their app, one that has an app itself, and two users. */
async function start(t: TestContext): Promise<Rig> {
  const provider = await StrictProvider.open({ kind: "feishu-v2" });
  t.after(() => provider.close());
  const dir = daemonFolder(t);
  const appSecretFile = path.join(dir, "app.secret");
  writeFileSync(appSecretFile, `${CLIENT.secret}\n`, { mode: 0o400 });
  const common = { builtin: "feishu-token", baseUrl: provider.origin };
  const servers = {
    feishu: { ...common, sessionConfig: true },
    own: { ...common, appId: CLIENT.id, appSecretFile },
  };
  const daemon = await startDaemon(t, { dir, config: { servers, defaultServer: "feishu" } });
  const keys = {
    alice: (await daemon.addUser("alice")).key.secret,
    bob: (await daemon.addUser("bob")).key.secret,
  };
  return { daemon, provider, keys };
}

const APP = { app_id: CLIENT.id, app_secret: CLIENT.secret };
/** As Smithery's clients write it. */
const configOf = (app: object): string =>
  `config=${encodeURIComponent(Buffer.from(JSON.stringify(app)).toString("base64"))}`;

const FRONTS = {
  sse: (url: URL, headers: Record<string, string>) =>
    new SSEClientTransport(url, { requestInit: { headers } }),
  mcp: (url: URL, headers: Record<string, string>) =>
    new StreamableHTTPClientTransport(url, { requestInit: { headers } }),
};

async function connect(
  t: TestContext,
  { daemon, keys }: Rig,
  where: {
    user: "alice" | "bob";
    front: keyof typeof FRONTS;
    query: string;
    language?: string | undefined;
  },
): Promise<Client> {
  const { user, front, query, language } = where;
  const client = new Client({ name: "seed", version: "1" });
  const url = new URL(`${daemon.origin}/u/${user}/feishu/${front}?${query}`);
  const headers = {
    authorization: `Bearer ${keys[user]}`,
    ...(language === undefined ? {} : { "accept-language": language }),
  };
  await client.connect(FRONTS[front](url, headers));
  t.after(() => client.close());
  return client;
}

interface Result {
  content: { type: string; text: string }[];
  structuredContent?: Record<string, unknown>;
  isError?: boolean;
}
const callTool = async (client: Client, name: string, args: object = {}): Promise<Result> =>
  (await client.callTool({ name, arguments: args as Record<string, unknown> })) as Result;

test("the tools of the Feishu token server answer on both fronts as it did, with the app in the URL as it had it", async (t) => {
  const rig = await start(t);
  const { daemon, provider } = rig;
  for (const front of ["sse", "mcp"] as const) {
    const client = await connect(t, rig, { user: "alice", front, query: configOf(APP) });
    const { tools } = await client.listTools();
    assert.deepEqual(
      tools.map(({ name, inputSchema }) => [name, inputSchema.required]),
      [
        ["get_feishu_app_token", undefined],
        ["refresh_feishu_user_token", ["refresh_token"]],
      ],
    );
    const before = Date.now() / 1000;
    const app = await callTool(client, "get_feishu_app_token");
    const { app_access_token: token, expires_at: at } = app.structuredContent!;
    assert.equal(token, "a-app");
    assert.ok(Number(at) > before + 300 && Number(at) < before + 7300);
    assert.deepEqual(JSON.parse(app.content[0]!.text), app.structuredContent);

    // The client holds the answer against the schema that the tool has for it.
    const refresh_token = provider.grant(`user-${front}`);
    const user = await callTool(client, "refresh_feishu_user_token", { refresh_token });
    const given = user.structuredContent!;
    assert.match(String(given["access_token"]), /^u-user-/);
    assert.deepEqual(
      [given["expires_in"], given["token_type"], given["scope"]],
      [7200, "Bearer", "offline_access"],
    );
    assert.equal(given["refresh_token"], provider.goodOf(`user-${front}`));
    assert.deepEqual(JSON.parse(user.content[0]!.text), given);
    // The answer was lost on its way: the same refresh token, which is dead by now, gives it again.
    const again = await callTool(client, "refresh_feishu_user_token", { refresh_token });
    assert.deepEqual(again, user);
  }
  // One app, one user, two clients: it was fetched once.
  const ofApp = provider.calls.filter((one) => one.path.includes("app_access_token"));
  assert.equal(ofApp.length, 1);
  await refusals(t, rig);
  const { instances } = (await daemon.cli(["status"])).json<{
    instances: { server: string; user: string; state: string; pid: null; isolation: null }[];
  }>();
  assert.deepEqual(
    instances.map((one) => [one.user, one.server, one.state, one.pid, one.isolation]),
    [
      ["alice", "feishu", "ready", null, null],
      ["bob", "feishu", "ready", null, null],
    ],
  );
  await otherWays(t, rig);
  await lostAnswers(t, rig);
  const log = daemon.log();
  assert.doesNotMatch(log, /u-user-|ur-user-|a-app/);
  assert.equal(log.includes(CLIENT.secret) || log.includes("config="), false);
  assert.equal(log.includes(Buffer.from(JSON.stringify(APP)).toString("base64")), false);
});

async function refusals(t: TestContext, rig: Rig): Promise<void> {
  const { provider } = rig;
  const refused = async (query: string, name: string, args: object, language?: string) => {
    const client = await connect(t, rig, { user: "bob", front: "mcp", query, language });
    const { isError, structuredContent, content } = await callTool(client, name, args);
    assert.deepEqual([isError, structuredContent], [true, undefined]);
    return content[0]!.text;
  };
  // What alice was given for that app is not given to another secret for it, nor to another user.
  const wrong = configOf({ ...APP, app_secret: "another-secret-of-the-app" });
  const get = "get_feishu_app_token";
  assert.match(await refused(wrong, get, {}), /^Feishu refused \(20002\): the app is not known/);
  const calls = provider.calls.length;
  const client = await connect(t, rig, { user: "bob", front: "mcp", query: configOf(APP) });
  await callTool(client, get);
  assert.equal(provider.calls.length, calls + 1);

  const refresh = "refresh_feishu_user_token";
  const used = { refresh_token: "ur-that-nobody-has" };
  assert.match(
    await refused(
      `app_id=${CLIENT.id}&app_secret=${CLIENT.secret}`,
      refresh,
      used,
      "zh-CN,en;q=0.8",
    ),
    /^飞书拒绝了请求（20073）/,
  );
  assert.match(await refused(configOf(APP), refresh, {}), /^refresh_token is missing/);
  assert.match(await refused("", get, {}), /^no app is named/);
  provider.down = { status: 503 };
  assert.match(await refused(wrong, get, {}), /^Feishu refused \(HTTP 503\)/);
  provider.down = undefined;
}

/** Where the server is restarted in the middle of a refresh, nothing is sent again, and what came of it is there for who asks again. */
async function lostAnswers(t: TestContext, rig: Rig): Promise<void> {
  const { daemon, provider } = rig;
  const args = { refresh_token: provider.grant("dave") };
  const asked = () => provider.calls.filter((one) => one.refreshToken === args.refresh_token);
  const held = Promise.withResolvers<void>();
  provider.beforeAnswer = () => held.promise;
  const clients = await Promise.all(
    (["sse", "mcp"] as const).map((front) =>
      connect(t, rig, { user: "alice", front, query: configOf(APP) }),
    ),
  );
  const refresh = "refresh_feishu_user_token";
  const lost = Promise.allSettled(clients.map((client) => callTool(client, refresh, args)));
  await until(() => asked().length === 1, "Feishu is asked");
  assert.equal((await daemon.cli(["restart", "alice", "--server", "feishu"])).code, 0);
  assert.deepEqual(
    (await lost).map(({ status }) => status),
    ["rejected", "rejected"],
  );
  provider.beforeAnswer = () => {};
  held.resolve();
  for (const client of clients) {
    const { structuredContent } = await callTool(client, refresh, args);
    assert.equal(structuredContent?.["refresh_token"], provider.goodOf("dave"));
  }
  assert.equal(asked().length, 1);
}

async function otherWays(t: TestContext, { daemon, keys }: Rig): Promise<void> {
  const auth = bearer(keys.alice);
  // A server with an app of its own, in the revision without sessions.
  const client = new ClientV2(
    { name: "v2", version: "1" },
    { versionNegotiation: { mode: "auto" } },
  );
  const requestInit = { headers: { authorization: auth[1]! } };
  await client.connect(new HttpV2(new URL(`${daemon.origin}/u/alice/own/mcp`), { requestInit }));
  t.after(() => client.close());
  assert.equal(client.getNegotiatedProtocolVersion(), "2026-07-28");
  const modern = await client.callTool({ name: "get_feishu_app_token" });
  assert.equal(
    (modern.structuredContent as { app_access_token: string }).app_access_token,
    "a-app",
  );
  // The user's own app goes before that, from the next call on.
  const own = { input: JSON.stringify({ ...APP, app_secret: "another-secret-of-the-app" }) };
  const set = ["token", "set", "alice", "--server", "own", "--token-stdin"];
  assert.equal((await daemon.cli(set, own)).code, 0);
  const refused = (await client.callTool({ name: "get_feishu_app_token" })) as Result;
  assert.match(refused.content[0]!.text, /20002/);

  const post = (where: string, body: string, session: string[] = []) =>
    ask(daemon.port, {
      method: "POST",
      path: where,
      body,
      headers: [...auth, ...json, ...session],
    });
  const at = (query: string): string => `/u/alice/feishu/mcp?${query}`;
  for (const malformed of [
    "config=%%%",
    "config=bm90IGpzb24",
    `config=${Buffer.from("[1]").toString("base64url")}`,
    configOf({ app_id: "only-this" }),
    `${configOf(APP)}&${configOf(APP)}`,
    "app_secret=half-of-it",
  ]) {
    const { status, body } = await post(at(malformed), initialize("hello"));
    assert.equal(status, 400, malformed);
    assert.match(body, /REQUEST_INVALID/);
    assert.doesNotMatch(body, /bm90|only-this|half-of-it/);
  }
  // A session goes with what its URL said at first, on either front.
  const { headers } = await post(at(configOf(APP)), initialize("hello"));
  const session = ["mcp-session-id", String(headers["mcp-session-id"])];
  const other = configOf({ ...APP, app_secret: "another-secret-of-the-app" });
  const list = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" });
  const ping = JSON.stringify({ jsonrpc: "2.0", id: 2, method: "ping" });
  const byParameters = `app_id=${CLIENT.id}&app_secret=${CLIENT.secret}`;
  assert.equal((await post(at(byParameters), list, session)).status, 200);
  for (const query of [other, "", `${configOf(APP)}&app_secret=another-secret`])
    for (const body of [list, ping, call("x", "get_feishu_app_token")])
      assert.equal((await post(at(query), body, session)).status, 404);
  for (const method of ["GET", "DELETE"]) {
    const answer = await ask(daemon.port, {
      method,
      path: at(other),
      headers: [...auth, ...session],
    });
    assert.equal(answer.status, 404);
  }
  const stream = await EventStream.open(daemon.port, {
    path: `/u/alice/feishu/sse?${configOf(APP)}`,
    headers: auth,
  });
  t.after(() => stream.close());
  const endpoint = await until(() => stream.endpoint, "the endpoint has come");
  assert.ok(endpoint.includes(configOf(APP)));
  assert.equal((await post(endpoint.replace(configOf(APP), other), initialize("no"))).status, 404);
  assert.equal((await post(endpoint.replace(`${configOf(APP)}&`, ""), list)).status, 404);
  assert.equal((await post(endpoint, initialize("yes"))).status, 202);
  await until(() => stream.messages().some(({ id }) => id === "yes"), "it is answered");
}
