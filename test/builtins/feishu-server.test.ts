import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { FeishuApp } from "../../src/builtins/feishu/app.ts";
import { Builtins } from "../../src/builtins/builtins.ts";
import type { Caller } from "../../src/builtins/builtin.ts";
import type { BuiltinServer } from "../../src/config/config.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import { parseConfig } from "../../src/config/config.ts";
import { SupervisorError } from "../../src/errors.ts";
import { peek } from "../../src/mcp/client-body.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import { Reserve } from "../../src/tokens/reserve.ts";
import { openVault } from "../../src/vault/vault.ts";
import { CLIENT, StrictProvider } from "../fixtures/providers/strict.ts";
import type { StrictOptions } from "../fixtures/providers/strict.ts";
import { call } from "../helpers/fixtures.ts";
import { temporaryStore } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

const APP: FeishuApp = { id: CLIENT.id, secret: CLIENT.secret };
const STRANGER: FeishuApp = { id: CLIENT.id, secret: "another-secret-of-the-app" };
const GET = "get_feishu_app_token";
const REFRESH = "refresh_feishu_user_token";

interface Answer {
  id: number;
  result: {
    content: { text: string }[];
    structuredContent?: Record<string, unknown>;
    isError?: boolean;
  };
}

interface Asked extends Partial<Caller> {
  user?: string;
  token?: string;
  ownApp?: FeishuApp;
  server?: object;
}

const log = createLogger("silent", {});

async function rig(t: TestContext, options: Partial<StrictOptions> = {}) {
  const provider = await StrictProvider.open({ kind: "feishu-v2", ...options });
  const { store, folder } = temporaryStore(t);
  const vault = openVault({ keyFile: path.join(folder, "vault.key"), store });
  const scrubber = new Scrubber();
  for (const name of ["alice", "bob"]) store.users.insert(name, 1);
  const open: Builtins[] = [];
  const configOf = (server: object) =>
    parseConfig(
      {
        dataDir: folder,
        servers: { feishu: { builtin: "feishu-token", baseUrl: provider.origin, ...server } },
      },
      folder,
      { env: {} },
    );
  const start = (ownApp?: FeishuApp, all = configOf({}).servers): Builtins => {
    const config = configOf({});
    const servers = new Catalog(all);
    open.push(new Builtins({ store, vault, config, servers, scrubber, log, version: "1", ownApp }));
    return open.at(-1)!;
  };
  const first = start();
  t.after(async () => {
    for (const builtins of open) await builtins.close();
    await provider.close();
  });
  /** Calls a tool in a conversation of its own. */
  const ask = async (
    { user = "alice", token, ownApp, server = {}, language = "en", app }: Asked,
    name: string,
    args: object = {},
  ): Promise<Answer["result"]> => {
    const builtins = ownApp === undefined ? first : start(ownApp);
    const def = configOf(server).servers["feishu"] as BuiltinServer;
    let answer: Answer | undefined;
    const said = (raw: Buffer): void => void (answer = JSON.parse(raw.toString()) as Answer);
    const conversation = builtins.serve(user, def, () => token).open({ language, app }, said);
    const seen = peek(Buffer.from(call(1, name, args)));
    assert.ok(seen.kind === "messages");
    conversation.receive(seen.messages[0]!);
    return (await until(() => answer, "it is answered")).result;
  };
  return { provider, store, vault, folder, scrubber, first, start, ask };
}

test("the app is the one of the URL, else of the user's token, else of the server, else of the daemon's environment", async (t) => {
  const { ask, folder, provider } = await rig(t);
  const file = path.join(folder, "app.secret");
  const tokenOf = (app: FeishuApp) => JSON.stringify({ app_id: app.id, app_secret: app.secret });
  const serverOf = (secret: string) => {
    writeFileSync(file, secret, { mode: 0o600 });
    return { appId: CLIENT.id, appSecretFile: file };
  };
  const none = await ask({}, GET);
  assert.match(none.content[0]!.text, /^no app is named/);
  assert.equal(provider.calls.length, 0);
  const ways: [string, Asked][] = [
    ["of the URL", { app: APP, token: tokenOf(STRANGER) }],
    ["of the token", { token: tokenOf(APP), server: serverOf(STRANGER.secret) }],
    ["of the server", { token: "a token of something else", ownApp: STRANGER }],
    ["of the environment", { token: '{"app_id":"half"}', ownApp: APP }],
  ];
  for (const [where, asked] of ways) {
    if (where === "of the server") asked.server = serverOf(CLIENT.secret);
    const { isError } = await ask(asked, GET);
    assert.equal(isError, undefined, where);
  }
});

test("what is kept of an app is for the user and the secret that it was got with, until five minutes before its end, after a restart too", async (t) => {
  const { ask, provider, store, vault, start } = await rig(t, { expiresIn: 1000 });
  const now = Date.now();
  const clock = t.mock.method(Date, "now", () => now);
  await Promise.all([1, 2, 3].map(() => ask({ app: APP }, GET)));
  assert.equal(provider.calls.length, 1);
  assert.equal((await ask({ app: STRANGER }, GET)).isError, true);
  assert.equal((await ask({ app: APP, user: "bob" }, GET)).isError, undefined);
  assert.equal(provider.calls.length, 3);
  await ask({ ownApp: APP }, GET);
  assert.equal(provider.calls.length, 3, "another daemon on the same data has it still");
  clock.mock.mockImplementation(() => now + 699_000);
  await ask({ app: APP }, GET);
  assert.equal(provider.calls.length, 3);
  clock.mock.mockImplementation(() => now + 701_000);
  await ask({ app: APP }, GET);
  assert.equal(provider.calls.length, 4);
  vault.keyring.rotate();
  await vault.keyring.resealed();
  await ask({ app: APP }, GET);
  assert.equal(provider.calls.length, 4);

  // Rows go with their user, and with their server.
  const heads = () =>
    store
      .sealed({
        table: "feishu_tokens",
        key: ["user_id", "app", "key"],
        column: "box",
        place: "''",
      })
      .after(undefined, 100).length;
  assert.equal(heads(), 1, "what was over has gone");
  store.users.delete(store.users.find("alice")!.id);
  assert.equal(heads(), 0);
  await ask({ app: APP, user: "bob" }, GET);
  assert.equal(heads(), 1);
  start(undefined, {});
  assert.equal(heads(), 0);
});

test("what a session is bound to is the same after a restart and a change of keys, and for every app another", async (t) => {
  const { start, vault } = await rig(t);
  const mark = start().markOf(APP);
  vault.keyring.rotate();
  await vault.keyring.resealed();
  assert.equal(start().markOf(APP), mark);
  const others = [STRANGER, { ...APP, id: "cli_other" }].map((app) => start().markOf(app));
  assert.equal(new Set([mark, ...others]).size, 3);
  assert.equal((await rig(t)).start().markOf(APP) === mark, false, "elsewhere it is another");
});

test("a refresh token goes to Feishu once, however often it is asked with within ten minutes, and by whom", async (t) => {
  const { ask, provider } = await rig(t);
  const now = Date.now();
  const clock = t.mock.method(Date, "now", () => now);
  const refresh_token = provider.grant("carol");
  const answers = await Promise.all(
    [1, 2, 3].map(() => ask({ app: APP }, REFRESH, { refresh_token })),
  );
  clock.mock.mockImplementation(() => now + 599_000);
  answers.push(await ask({ ownApp: APP }, REFRESH, { refresh_token }));
  assert.equal(new Set(answers.map((answer) => JSON.stringify(answer))).size, 1);
  assert.deepEqual(
    provider.calls.map(({ outcome }) => outcome),
    ["ok"],
  );
  // Nobody else's: not of another user, nor by another secret of the app.
  for (const other of [{ app: APP, user: "bob" }, { app: STRANGER }])
    assert.equal((await ask(other, REFRESH, { refresh_token })).isError, true);
  clock.mock.mockImplementation(() => now + 601_000);
  const late = await ask({ app: APP, language: "zh" }, REFRESH, { refresh_token });
  assert.match(late.content[0]!.text, /^飞书拒绝了请求（20073）/);
});

test("a refresh token that v1 issued is refreshed there", async (t) => {
  const { ask, provider } = await rig(t, { kind: "feishu-v1" });
  const refresh_token = provider.grant("carol");
  const { structuredContent } = await ask({ app: APP }, REFRESH, { refresh_token });
  assert.equal(structuredContent?.["refresh_token"], provider.goodOf("carol"));
});

test("a conversation that is left, or a call that is cancelled, hears nothing, and what Feishu gave is there for who asks again", async (t) => {
  const { ask, provider, start, folder } = await rig(t);
  const refresh_token = provider.grant("carol");
  let isAsked = false;
  const held = new Promise<void>((go) => {
    provider.beforeAnswer = () => {
      isAsked = true;
      return new Promise((answer) => {
        release = () => {
          answer();
          go();
        };
      });
    };
  });
  let release = (): void => {};
  const server = { builtin: "feishu-token", baseUrl: provider.origin };
  const def = parseConfig({ dataDir: folder, servers: { feishu: server } }, folder, { env: {} })
    .servers["feishu"] as BuiltinServer;
  const said: string[] = [];
  const conversation = start()
    .serve("alice", def, () => undefined)
    .open({ language: "en", app: APP }, (raw) => void said.push(raw.toString()));
  const receive = (text: string): void => {
    const seen = peek(Buffer.from(text));
    assert.ok(seen.kind === "messages");
    for (const message of seen.messages) conversation.receive(message);
  };
  receive(call(7, REFRESH, { refresh_token }));
  await until(() => isAsked, "Feishu is asked");
  receive('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}');
  receive('{"jsonrpc":"2.0","id":8,"method":"ping"}');
  release();
  await held;
  provider.beforeAnswer = () => {};
  await until(() => said.length > 0, "the ping is answered");
  conversation.close();
  receive('{"jsonrpc":"2.0","id":9,"method":"ping"}');
  conversation.close();
  const again = await until(async () => {
    const answer = await ask({ app: APP }, REFRESH, { refresh_token });
    return answer.isError === true ? undefined : answer;
  }, "it has come");
  assert.equal(again.structuredContent?.["refresh_token"], provider.goodOf("carol"));
  assert.equal(provider.calls.filter(({ outcome }) => outcome === "ok").length, 1);
  assert.deepEqual(said, ['{"jsonrpc":"2.0","id":8,"result":{}}']);
});

test("a daemon that ends waits for what Feishu was asked for, and the next one has it", async (t) => {
  const { ask, provider, first } = await rig(t);
  const refresh_token = provider.grant("carol");
  const held = Promise.withResolvers<void>();
  provider.beforeAnswer = () => held.promise;
  const asked = ask({ app: APP }, REFRESH, { refresh_token });
  await until(() => provider.calls.length === 1, "Feishu is asked");
  const closed = first.close();
  provider.beforeAnswer = () => {};
  held.resolve();
  await closed;
  const next = await ask({ ownApp: APP }, REFRESH, { refresh_token });
  assert.deepEqual(next, await asked);
  assert.equal(provider.calls.length, 1);
});

test("where Feishu cannot be reached, or says what nobody understands, the client is told in its language", async (t) => {
  const { ask, provider } = await rig(t);
  provider.down = { status: 200, body: { code: 0 } };
  const odd = await ask({ app: APP }, GET);
  assert.match(odd.content[0]!.text, /^Feishu gave no answer that can be used/);
  const server = { baseUrl: "http://127.0.0.1:9" };
  const none = await ask({ app: APP, language: "zh", server }, GET);
  assert.match(none.content[0]!.text, /^飞书没有给出可用的响应/);
});

test("where what Feishu gives could not be kept it is not asked", async (t) => {
  const { ask, provider } = await rig(t);
  const full = new SupervisorError("DISK_FULL", "no room can be kept for a token");
  t.mock.method(Reserve.prototype, "keep", () => {
    throw full;
  });
  const refresh_token = provider.grant("carol");
  const { content } = await ask({ app: APP }, REFRESH, { refresh_token });
  assert.equal(content[0]!.text, "DISK_FULL: no room can be kept for a token");
  assert.deepEqual([provider.calls.length, provider.goodOf("carol")], [0, refresh_token]);
});

test("what only the admin may know is not told to clients", async (t) => {
  const { ask, folder } = await rig(t);
  const server = { appId: "cli_1", appSecretFile: path.join(folder, "nothing-here") };
  const own = await ask({ server }, GET);
  assert.match(own.content[0]!.text, /^the gateway could not do it/);
});

test("secrets that pass by are kept out of all output: that of the app, and what Feishu gives", async (t) => {
  const { ask, provider, scrubber, start } = await rig(t);
  const refresh_token = provider.grant("somebody-with-a-name");
  const answer = await ask({ app: APP }, REFRESH, { refresh_token });
  const given = answer.structuredContent as Record<string, string>;
  start().markOf(STRANGER);
  for (const secret of [
    APP.secret,
    STRANGER.secret,
    refresh_token,
    given["access_token"]!,
    given["refresh_token"]!,
  ])
    assert.doesNotMatch(scrubber.scrub(`so it says ${secret} here`), new RegExp(secret));
});
