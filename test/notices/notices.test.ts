import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { NoticeDef } from "../../src/config/config.ts";
import { SupervisorError } from "../../src/errors.ts";
import { Notices } from "../../src/notices/notices.ts";
import { TROUBLE_KINDS } from "../../src/notices/trouble.ts";
import type { Look, Trouble } from "../../src/notices/trouble.ts";
import { sentenceOf } from "../../src/notices/words.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import { BOT_SECRET, StrictBot } from "../fixtures/notices/bots.ts";
import type { BotKind } from "../fixtures/notices/bots.ts";
import { makeTimeSkippable } from "../helpers/skippable-time.ts";
import { temporaryStore } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

const LOOK = 30_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function dead(user: string, more: Partial<Trouble> = {}): Trouble {
  const about = `${user}/mail`;
  const whose = { about, user, server: "mail" };
  const since = { event: 1, endsAt: null, reason: "20064", connectUrl: null };
  return { kind: "needs_reauth", ...whose, ...since, ...more };
}

/** The room with these bots, time that can be skipped, and what is in trouble. */
async function rig(t: TestContext, kinds: readonly BotKind[], lang: "en" | "zh" = "en") {
  const time = makeTimeSkippable();
  t.after(() => time.restore());
  const { store, folder } = temporaryStore(t);
  const bots = await Promise.all(kinds.map(async (kind) => await StrictBot.open(t, kind)));
  const defs = bots.map((bot) => bot.config(folder, lang)) as NoticeDef[];
  const config = { notices: defs, publicUrl: new URL("https://mcp.example.com") };
  const scrubber = new Scrubber();
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const log = createLogger("info", { scrubber, destination });
  const outcomes: string[] = [];
  const metrics = {
    noticed: (channel: string, outcome: string) => void outcomes.push(`${channel} ${outcome}`),
  };
  const now = { troubles: [] as Trouble[], mended: [] as Trouble[] };
  const look = (): Look => ({ ...now, known: new Set(TROUBLE_KINDS) });
  let notices: Notices | undefined;
  const start = async (parts: object = {}): Promise<Notices> => {
    await notices?.close();
    notices = new Notices({ store, config, log, metrics, scrubber, ...parts });
    notices.start(look);
    return notices;
  };
  t.after(async () => await notices?.close());
  /** Look after look, until so much time is over; fewer where it is long. */
  const pass = async (ms: number): Promise<void> => {
    const step = ms > HOUR ? 5 * MINUTE : LOOK;
    for (let left = ms; left > 0; left -= step) {
      time.skip(step);
      await notices?.settled();
    }
  };
  return { bots, store, folder, config, scrubber, lines, outcomes, now, start, pass, time };
}

test("a trouble is told once, in the shape of each kind of bot, then daily, and no more once it is mended", async (t) => {
  const { bots, now, start, pass, lines } = await rig(t, ["json", "slack", "feishu"]);
  now.troubles = [dead("ada")];
  await start();
  await pass(2 * MINUTE);
  for (const { kind, texts, refusals } of bots) {
    assert.deepEqual(refusals, [], kind);
    assert.equal(texts.length, 1, kind);
    assert.match(texts[0]!, /^\[mcp\.example\.com\] ada has to connect mail anew/);
  }
  await pass(23 * HOUR);
  assert.deepEqual(
    bots.map(({ calls }) => calls),
    [1, 1, 1],
  );
  await pass(HOUR);
  assert.deepEqual(
    bots.map(({ texts }) => texts.length),
    [2, 2, 2],
  );
  assert.equal(lines.filter((line) => line.includes("trouble: ")).length, 2);
  now.troubles = [];
  await pass(2 * DAY);
  assert.deepEqual(
    bots.map(({ calls }) => calls),
    [2, 2, 2],
  );
  // The same once more, which is another event.
  now.troubles = [dead("ada", { event: 2 })];
  await pass(2 * MINUTE);
  assert.equal(bots[1]!.texts.length, 3);
});

test("each is told in its language", async (t) => {
  const { bots, now, start, pass } = await rig(t, ["feishu"], "zh");
  now.troubles = [dead("ada")];
  await start();
  await pass(2 * MINUTE);
  assert.match(bots[0]!.texts[0]!, /ada 需要重新授权 mail/);
});

test("five of a kind are told one by one, and three hundred in one summary, that day and the next", async (t) => {
  const { bots, now, start, pass } = await rig(t, ["json"]);
  const [bot] = bots;
  now.troubles = Array.from({ length: 5 }, (_, at) => dead(`few-${at}`));
  await start();
  await pass(2 * MINUTE);
  assert.equal(bot!.texts.length, 5);

  now.troubles = Array.from({ length: 300 }, (_, at) => dead(`user-${at}`)).slice(0, 3);
  await pass(LOOK);
  now.troubles = Array.from({ length: 300 }, (_, at) => dead(`user-${at}`));
  await pass(3 * MINUTE);
  assert.equal(bot!.texts.length, 6);
  assert.match(bot!.texts[5]!, /300 tokens .*user-0\/mail.* and 290 more/);
  assert.equal(bot!.bodies[5]!["count"], 300);
  await pass(DAY);
  assert.equal(bot!.texts.length, 7);
});

test("a bot that is down is tried three times a day, across a restart too", async (t) => {
  const { bots, now, start, pass, outcomes } = await rig(t, ["slack"]);
  const [bot] = bots;
  bot!.down = { status: 503, text: "" };
  now.troubles = [dead("ada")];
  await start();
  await pass(2 * MINUTE);
  assert.ok(bot!.calls >= 1 && bot!.calls < 3);
  await start();
  await pass(HOUR);
  assert.equal(bot!.calls, 3);
  assert.deepEqual(
    outcomes.filter((one) => one.startsWith("slack")),
    ["slack failed", "slack failed", "slack given-up"],
  );
  await start();
  await pass(20 * HOUR);
  assert.equal(bot!.calls, 3);
  bot!.down = undefined;
  await pass(4 * HOUR);
  assert.equal(bot!.texts.length, 1);
});

test("the end of the daemon does not wait for a bot that is silent, and what it was to be told is told after the next start", async (t) => {
  const { bots, now, start, time, pass } = await rig(t, ["slack"]);
  const [bot] = bots;
  bot!.isSilent = true;
  now.troubles = [dead("ada")];
  const notices = await start();
  for (let look = 0; look < 3; look += 1) time.skip(LOOK);
  await until(() => bot!.calls === 1, "it is called");
  await notices.close();
  bot!.isSilent = false;
  await start();
  await pass(3 * MINUTE);
  assert.equal(bot!.texts.length, 1);
});

test("what was told is not told again after a restart, though what the daemon knew is gone for a while", async (t) => {
  const { bots, now, start, pass } = await rig(t, ["slack"]);
  const parked = dead("ada", { kind: "parked", event: 0 });
  now.troubles = [parked, dead("bob")];
  await start();
  await pass(2 * MINUTE);
  assert.equal(bots[0]!.texts.length, 2);
  now.troubles = [dead("bob")];
  await start();
  await pass(2 * MINUTE);
  now.troubles = [parked, dead("bob")];
  await pass(HOUR);
  assert.equal(bots[0]!.texts.length, 2);

  // It served meanwhile, so this is another one.
  now.troubles = [];
  now.mended = [parked];
  await pass(LOOK);
  now.mended = [];
  now.troubles = [parked];
  await pass(2 * MINUTE);
  assert.equal(bots[0]!.texts.length, 3);
});

test("what is told holds no secret, and nothing that calls people or leads elsewhere", async (t) => {
  const { bots, now, start, pass, scrubber, lines } = await rig(t, ["json", "slack", "feishu"]);
  scrubber.set("token", "the-token-of-ada");
  const key = `mcps_${"k".repeat(36)}`;
  const reason = `<at user_id="all"> said\n"the-token-of-ada" & ${key}`;
  now.troubles = [dead("ada", { kind: "parked", reason })];
  const notices = await start();
  await pass(2 * MINUTE);
  assert.equal((await notices.test()).filter(({ failure }) => failure !== null).length, 0);
  for (const { kind, bodies, refusals, url } of bots) {
    const all = JSON.stringify([bodies, lines]);
    assert.deepEqual(refusals, [], kind);
    assert.equal(bodies.length, 2, kind);
    for (const secret of ["the-token-of-ada", key, url, new URL(url).pathname, BOT_SECRET])
      assert.ok(!all.includes(secret), `${kind}: ${secret}`);
    assert.doesNotMatch(scrubber.scrub(`see ${url}`), /127\.0\.0\.1|place/);
    assert.doesNotMatch(scrubber.scrub(`POST ${new URL(url).pathname}`), /place/);
  }
  assert.ok(!scrubber.scrub(BOT_SECRET).includes(BOT_SECRET));
});

test("a database that takes no writing does not keep a trouble from being told, once", async (t) => {
  const { bots, now, start, pass, store } = await rig(t, ["slack"]);
  let isFull = true;
  const transaction = <T>(work: () => T): T => {
    if (isFull) throw new SupervisorError("DISK_FULL", "the database: the disk is full");
    return store.transaction(work);
  };
  const disk = { kind: "disk", about: "database", user: null, server: null } as const;
  now.troubles = [
    { ...disk, event: 0, endsAt: null, reason: "the disk is full", connectUrl: null },
  ];
  const full = { store: { notices: store.notices, transaction } };
  await start(full);
  await pass(HOUR);
  assert.equal(bots[0]!.texts.length, 1);
  assert.deepEqual(store.notices.all(), []);
  isFull = false;
  await pass(LOOK);
  await start(full);
  await pass(HOUR);
  assert.equal(bots[0]!.texts.length, 1);
});

test("a URL that is forbidden, in clear over a network, or open to others is not called, and the reason never repeats it", async (t) => {
  const { config, folder, start, bots } = await rig(t, ["json"]);
  const { urlFile } = config.notices[0]!;
  const notices = await start();
  const failure = async (): Promise<string> => (await notices.test())[0]!.failure!.message;
  const put = (url: string): void => {
    chmodSync(urlFile, 0o600);
    writeFileSync(urlFile, url);
  };
  put("http://169.254.169.254/latest/api");
  assert.match(await failure(), /must begin with https/);
  put("https://169.254.169.254/latest/api");
  assert.match(await failure(), /link-local or metadata/);
  put("http://far.example.com/secret-place");
  assert.match(await failure(), /must begin with https/);
  put("not a url: secret-place");
  assert.doesNotMatch(await failure(), /secret-place/);
  put(bots[0]!.url);
  chmodSync(urlFile, 0o644);
  assert.match(await failure(), /open to other accounts/);
  config.notices = [{ kind: "json", urlFile: path.join(folder, "none"), lang: "en" }];
  assert.match(await failure(), /cannot be read from .*none \(ENOENT\)/);
  assert.equal(bots[0]!.calls, 0);
});

test("a redirect is no success, and neither is Feishu's 200 to a wrong signature", async (t) => {
  const { config, folder, start, bots } = await rig(t, ["feishu", "slack"]);
  const [feishu, slack] = bots;
  slack!.down = { status: 307, text: "" };
  const secretFile = path.join(folder, "feishu.secret");
  chmodSync(secretFile, 0o600);
  writeFileSync(secretFile, "another-secret");
  const notices = await start();
  const told = (await notices.test()).map(({ failure }) => failure?.message);
  assert.deepEqual(told, ["it answered with code 19021", "it answered with 307"]);
  assert.deepEqual(feishu!.refusals, ["19021"]);
  assert.equal(config.notices.length, 2);
});

test("who has to connect anew is told with the page for it, beside the command", () => {
  const connectUrl = "https://mcp.example.com/u/ada/connect/mail";
  const command = "mcp-supervisor token set ada --server mail --refresh-token-stdin";
  for (const kind of ["needs_reauth", "refresh_token"] as const) {
    const told = dead("ada", { kind, connectUrl, endsAt: DAY });
    assert.ok(sentenceOf(told, "en", 0).endsWith(`\n→ ada opens ${connectUrl} , or ${command}`));
    assert.ok(
      sentenceOf(told, "zh", 0).endsWith(`\n→ 请 ada 打开 ${connectUrl} ，或运行 ${command}`),
    );
    const without = sentenceOf({ ...told, connectUrl: null }, "en", 0);
    assert.ok(without.endsWith(`\n→ ${command}`));
  }
});
