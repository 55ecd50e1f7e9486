import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";
import { providerRig } from "./rig.ts";

const isRoot = process.getuid?.() === 0;
const LOOK_MS = 30_000;
const DAY_MS = 86_400_000;
const RETRY_MS = 300_000;
/** A provider is asked twenty times a second at most. */
const TURNS_MS = 200;

/** What was asked for is answered. */
async function settled(calls: readonly unknown[]): Promise<void> {
  let before = -1;
  for (let quiet = 0; quiet < 3;) {
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    quiet = calls.length === before ? quiet + 1 : 0;
    before = calls.length;
  }
}

test("a provider that is down for a day: tokens serve to their last second, each is asked for every five minutes at most, and all are fresh after", async (t) => {
  const users = ["ada", "bob", "cleo"];
  const { provider, tokens, fresh, row } = await providerRig(t, { kind: "feishu-v2" }, { users });
  t.mock.timers.enable({ apis: ["Date", "setInterval", "setTimeout"], now: Date.now() });
  /** The user's token; those who are asked for before have their turns meanwhile. */
  const inTurn = async (user: string): Promise<string | undefined> => {
    const token = fresh(user);
    t.mock.timers.tick(TURNS_MS);
    return await token;
  };
  for (const user of users) await inTurn(user);
  tokens.refresher.start(() => new Set(users.map((user) => `${user}/mail`)));
  provider.down = { status: 503 };
  provider.calls.length = 0;
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += LOOK_MS) {
      t.mock.timers.tick(LOOK_MS);
      await settled(provider.calls);
    }
  };
  const lastAt = row().expiresAt! - 1000;
  await pass(7_200_000 - 60_000);
  t.mock.timers.setTime(lastAt);
  assert.equal(await inTurn("ada"), "u-ada-1");
  await pass(DAY_MS - 7_200_000);
  const asked = provider.calls.filter(({ refreshToken }) => refreshToken === "ur-ada-1");
  assert.ok(asked.length > 100, `${asked.length} calls`);
  // The first waits are shorter, for what is over in a moment.
  const steady = asked.slice(10);
  for (const [index, { at }] of steady.entries())
    if (index > 0) assert.ok(at - steady[index - 1]!.at >= RETRY_MS, "five minutes apart");
  provider.down = undefined;
  provider.calls.length = 0;
  await pass(2 * RETRY_MS);
  assert.deepEqual(
    provider.calls.map(({ outcome }) => outcome),
    ["ok", "ok", "ok"],
  );
  for (const user of users) assert.ok(row(user).expiresAt! > Date.now());
});

/** The wall clock, which can be set; what is measured otherwise does not notice. Looks come at each `tick`. */
function settableClock(t: TestContext) {
  const { now } = Date;
  let ahead = 0;
  t.mock.method(Date, "now", () => now() + ahead);
  t.mock.timers.enable({ apis: ["setInterval"] });
  return {
    set: (ms: number) => void (ahead = ms),
    look: () => t.mock.timers.tick(LOOK_MS),
  };
}

for (const days of [30, -30])
  test(`a clock that is set by ${days} days is followed at the next look, and once is enough`, async (t) => {
    const { provider, tokens, fresh, row } = await providerRig(t, { kind: "google" });
    const clock = settableClock(t);
    await fresh();
    tokens.refresher.start(() => new Set(["ada/mail"]));
    const { expiresAt } = row();
    clock.set(days * DAY_MS);
    clock.look();
    await until(() => row().expiresAt !== expiresAt, "there is another token");
    // Set back, that clock would have the old one be good for a month.
    assert.ok(Math.abs(row().expiresAt! - expiresAt! - days * DAY_MS) < DAY_MS);
    for (let look = 0; look < 3; look += 1) {
      clock.look();
      await settled(provider.calls);
    }
    assert.equal(provider.calls.length, 2);
  });

test("a clock that is set back by a minute changes nothing, and one by a month brings all whose refresh token ends, used or not", async (t) => {
  const users = ["ada", "bob"];
  const options = { kind: "feishu-v2" } as const;
  const { provider, tokens, fresh, row, store } = await providerRig(t, options, { users });
  const clock = settableClock(t);
  for (const user of users) {
    await fresh(user);
    store.grants.used(row(user), 1);
  }
  tokens.refresher.start(() => new Set());
  clock.set(-60_000);
  clock.look();
  await settled(provider.calls);
  assert.equal(provider.calls.length, 2);
  clock.set(-30 * DAY_MS);
  clock.look();
  const isFollowed = (user: string) => row(user).refreshedAt! <= Date.now();
  await until(() => users.every(isFollowed), "both have tokens of that clock");
  assert.equal(provider.calls.length, 4);
});

test(
  "on a full disk no provider is asked, and one that fills up meanwhile loses no token",
  { skip: !isRoot && "only root can mount a small disk" },
  (t) => {
    const place = temporaryFolder(t);
    const program = fileURLToPath(new URL("programs/on-full-disk.ts", import.meta.url));
    const mount =
      'mount -t tmpfs -o mode=700,size=6m tmpfs "$1" && exec "$2" --no-warnings "$3" "$1"';
    const { stdout, stderr } = spawnSync(
      "unshare",
      ["--mount", "--", "sh", "-c", mount, "sh", place, process.execPath, program],
      { encoding: "utf8" },
    );
    assert.equal(stderr, "");
    assert.deepEqual(JSON.parse(stdout), {
      whileFull: { code: "DISK_FULL", calls: 0, state: "idle" },
      filledMeanwhile: { code: "ok", calls: 1, state: "idle" },
      token: "u-ada-1",
      stillFull: { code: "DISK_FULL", calls: 1, state: "idle" },
      refusedMeanwhile: { code: "TOKEN_EXPIRED", calls: 2, state: "idle" },
      withRoom: { code: "ok", calls: 3, state: "idle" },
    });
  },
);
