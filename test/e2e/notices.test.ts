import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { BOT_SECRET, StrictBot } from "../fixtures/notices/bots.ts";
import { CLIENT, StrictProvider } from "../fixtures/providers/strict.ts";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { fixture } from "../helpers/fixtures.ts";
import { until } from "../helpers/until.ts";

const SKIPS_AHEAD = new URL("../helpers/skips-ahead.ts", import.meta.url).href;

test("people are told by their bots who has to connect anew, once, and a restart repeats nothing", async (t) => {
  const provider = await StrictProvider.open({ kind: "oauth2" });
  t.after(async () => await provider.close());
  const slack = await StrictBot.open(t, "slack");
  const feishu = await StrictBot.open(t, "feishu");
  const folder = temporaryFolder(t);
  const secret = path.join(folder, "client.secret");
  writeFileSync(secret, CLIENT.secret, { mode: 0o400 });
  const config = {
    servers: { one: { ...fixture("sse", "echo-sse"), provider: "sso" } },
    defaultServer: "one",
    providers: { sso: provider.config(secret) },
    notices: [slack.config(folder), feishu.config(folder, "zh")],
  };
  const env = { NODE_OPTIONS: `--import ${SKIPS_AHEAD}` };
  const first = await startDaemon(t, { config, env });

  const tested = await first.cli(["doctor", "--notices"]);
  assert.equal(tested.code, 0, tested.stderr);
  assert.match(slack.texts[0]!, /this is a test/);
  assert.match(feishu.texts[0]!, /测试/);

  await first.addUser("alice");
  const set = ["token", "set", "alice", "--server", "one", "--refresh-token-stdin"];
  await first.cli(set, { input: provider.grant("alice") });
  assert.equal((await first.cli(["token", "refresh", "alice"])).code, 0);
  // The next one is used up behind our back.
  provider.grant("alice");
  assert.equal((await first.cli(["token", "refresh", "alice"])).code, 1);

  /** Time goes on until this bot was told that. */
  const told = async (daemon: TestDaemon, bot: StrictBot, what: RegExp): Promise<void> => {
    const isTold = async (): Promise<boolean> => {
      if (bot.texts.some((text) => what.test(text))) return true;
      process.kill(daemon.pid, "SIGUSR2");
      await daemon.cli(["status"]);
      return false;
    };
    await until(isTold, `${bot.kind} is told ${what.source}`);
  };
  await told(first, slack, /alice has to connect one anew, .*: invalid_grant/);
  await told(first, feishu, /alice 需要重新授权 one/);
  const line = /"event":"needs_reauth".*trouble: alice has to connect one anew/;
  await until(() => line.test(first.log()), "it is logged");

  await first.stop();
  const second = await startDaemon(t, { config, env, dir: first.dir });
  await second.addUser("bob");
  const soon = new Date(Date.now() + 3 * 86_400_000).toISOString();
  const stored = await second.cli(["token", "set", "bob", "--token-stdin", "--expires-at", soon], {
    input: "a-token-that-ends-soon",
  });
  assert.equal(stored.code, 0, stored.stderr);
  await told(second, slack, /bob's general token ends in/);
  await told(second, feishu, /bob 的通用令牌/);
  assert.deepEqual([slack.texts.length, feishu.texts.length], [3, 3]);
  assert.deepEqual([slack.refusals, feishu.refusals], [[], []]);

  const said = [first.log(), second.log(), tested.stdout].join("\n");
  for (const hidden of [slack.url, new URL(slack.url).pathname, BOT_SECRET, "a-token-that-ends"])
    assert.ok(!said.includes(hidden), hidden);

  const { urlFile } = slack.config(folder);
  chmodSync(urlFile, 0o600);
  writeFileSync(urlFile, `${slack.url}-of-another`);
  const failed = await second.cli(["doctor", "--notices"]);
  assert.equal(failed.code, 1);
  const { notices } = JSON.parse(failed.stdout) as {
    notices: { kind: string; failure: unknown }[];
  };
  const refused = { code: "UPSTREAM_REFUSED", message: "it answered with 404" };
  assert.deepEqual(
    notices.map(({ kind, failure }) => [kind, failure]),
    [
      ["slack", refused],
      ["feishu", null],
    ],
  );
});
