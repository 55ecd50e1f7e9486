import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { figure } from "../helpers/figures.ts";
import { orderControl } from "../helpers/control.ts";
import { daemonFolder, runCli, startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { bearer } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const config = { defaultServer: "here", servers: { here: { url: "http://127.0.0.1:9/mcp" } } };
const nameOf = (at: number): string => `user-${at}`;

/** 300 users, a group of ten each, as an admin would write them. */
function people(count: number): string {
  const users = Array.from({ length: count }, (_, at) => [
    `  - name: ${nameOf(at)}`,
    `    displayName: User ${at}`,
    `    groups: [group-${at % 30}]`,
    "    servers: [weather]",
  ]);
  const groups = Array.from(
    { length: 30 },
    (_, at) => `  - {name: group-${at}, servers: [weather]}`,
  );
  return ["users:", ...users.flat(), "groups:", ...groups, ""].join("\n");
}

const addWeather = async ({ socket }: TestDaemon): Promise<void> => {
  await orderControl(socket, "POST", "/api/mcp/configs", {
    name: "weather",
    url: "http://127.0.0.1:9/mcp",
  });
};
const usersOf = async ({ socket }: TestDaemon): Promise<{ user: string; state: string }[]> =>
  (await orderControl<{ users: { user: string; state: string }[] }>(socket, "GET", "/api/users"))
    .users;

const entriesIn = (file: string): [string, string][] =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t") as [string, string]);

/** What an admin makes of it on the command line, where it goes wrong at first. */
async function byHand(daemon: TestDaemon): Promise<void> {
  const file = join(daemon.dir, "few.json");
  const write = (value: object): void => writeFileSync(file, JSON.stringify(value, null, 1));
  const apply = (...more: string[]) => daemon.cli(["apply", "-f", file, ...more]);
  write({ users: [{ name: "alice", grups: [] }] });
  const mistyped = (await apply()).error();
  assert.deepEqual(mistyped.details, [
    `${file}:5: users[0].grups: is not a known key, did you mean "groups"?`,
  ]);
  write({ users: [{ name: "alice", servers: ["wether"] }] });
  const unknown = (await apply()).error();
  assert.equal(unknown.message, `${file}: 1 problem`);
  assert.deepEqual(unknown.details, [
    `${file}:6: users[0].servers[0]: there is no server wether; did you mean weather?`,
  ]);
  assert.equal((await usersOf(daemon)).length, 0);

  write({ users: [{ name: "alice", groups: ["staff"] }], groups: [{ name: "staff" }] });
  const links = join(daemon.dir, "links");
  assert.equal((await apply("--invites-to", links)).code, 0);
  const [[name, link]] = entriesIn(links) as [[string, string]];
  assert.equal(name, "alice");
  assert.ok(link.startsWith(`${daemon.origin}/invite#`), link);
  const redeem = () =>
    ask(daemon.port, {
      method: "POST",
      path: "/invite",
      headers: ["content-type", "application/json", "origin", daemon.origin],
      body: JSON.stringify({ code: new URL(link).hash.slice(1) }),
    });
  assert.deepEqual([(await redeem()).status, (await redeem()).status], [200, 404]);

  const group = (...words: string[]) =>
    daemon.cli(words, { isForPeople: true }).then(({ stdout }) => stdout);
  assert.match(
    await group("user", "grant", "@staff", "weather"),
    /^The group staff may use weather/,
  );
  assert.match(await group("user", "grant", "alice", "here"), /^here is open to all users/);
  assert.match(await group("group", "list"), /^staff +1 +weather$/m);
  assert.equal(await group("group", "members", "staff"), "alice\n");
  assert.match(
    await group("user", "ungrant", "alice", "@staff"),
    /^alice is not in the group staff/,
  );
  const words = [
    "completion",
    "bash",
    "--",
    "--config",
    daemon.configPath,
    "user",
    "grant",
    "alice",
    "",
  ];
  assert.deepEqual((await runCli(words)).stdout.trim().split("\n").toSorted(), [
    "@staff",
    "weather",
  ]);
}

test("300 users are there by one command, with a key each; again there is nothing to change; one who is left out is disabled and cut off", async (t) => {
  const daemon = await startDaemon(t, { config });
  await addWeather(daemon);
  await t.test(
    "a mistake is told with its line, invites are links that are good once, and words complete",
    () => byHand(daemon),
  );
  const file = join(daemon.dir, "people.yaml");
  const keys = join(daemon.dir, "keys");
  writeFileSync(file, people(300));
  const apply = ["apply", "-f", file];

  const dry = (await daemon.cli([...apply, "--dry-run", "--keys-to", keys])).json<{
    dryRun: boolean;
    changes: object[];
  }>();
  // A user, a membership and a grant each, and 30 groups with a grant.
  assert.deepEqual([dry.dryRun, dry.changes.length], [true, 960]);
  assert.deepEqual([(await usersOf(daemon)).length, existsSync(keys)], [1, false]);
  const startedAt = performance.now();
  const done = (await daemon.cli([...apply, "--keys-to", keys])).json<{
    changes: object[];
    keys: string[];
  }>();
  figure(t, "300 users", performance.now() - startedAt, 30_000);
  assert.deepEqual([done.changes, done.keys.length], [dry.changes, 300]);
  assert.equal(statSync(keys).mode & 0o777, 0o600);
  const entries = entriesIn(keys);
  assert.deepEqual(entries.map(([name]) => name).toSorted(), [...done.keys].toSorted());
  assert.ok(!JSON.stringify(done).includes("mcps_"), "what is printed holds no key");
  assert.ok(!daemon.log().includes(entries[0]![1]), "nor does the log");

  const again = await daemon.cli(apply, { isForPeople: true });
  assert.deepEqual([again.code, again.stdout], [0, "Nothing to change.\n"]);
  const occupied = await daemon.cli([...apply, "--keys-to", keys]);
  assert.equal(occupied.code, 2);
  assert.match(occupied.error().message, /is there already/);

  const [last, key] = entries.find(([name]) => name === nameOf(299))!;
  const path = `/u/${last}/weather/sse`;
  const stream = await EventStream.open(daemon.port, { path, headers: bearer(key) });
  t.after(() => stream.close());
  assert.equal(stream.status, 200);
  writeFileSync(file, people(299));
  const pruned = await daemon.cli([...apply, "--prune"], { isForPeople: true });
  const answeredAt = performance.now();
  await until(() => stream.isEnded, "the stream ends");
  figure(t, "the stream of one who was left out", performance.now() - answeredAt, 1_000);
  assert.equal(
    pruned.stdout,
    [
      `- weather for ${last}`,
      `- ${last} in @group-29`,
      // Of the file before, which names other people.
      "- group staff",
      "~ user alice: disabled",
      `~ user ${last}: disabled`,
      "5 changes made.",
      "",
    ].join("\n"),
  );
  assert.equal((await usersOf(daemon)).find(({ user }) => user === last)?.state, "disabled");
  assert.equal((await ask(daemon.port, { path, headers: bearer(key) })).status, 401);
});

test("killed in the middle there are all users or none, and the same command again has the key of each", async (t) => {
  const dir = daemonFolder(t);
  const file = join(dir, "people.yaml");
  const keys = join(dir, "keys");
  writeFileSync(file, people(300));
  const log = join(dir, "data", "mcp-supervisor.db-wal");
  let daemon = await startDaemon(t, { config, dir });
  await addWeather(daemon);
  const sizeOf = (path: string): number => (existsSync(path) ? statSync(path).size : 0);
  const before = sizeOf(log);
  // Once as soon as the keys are kept, before or while the order is carried out; once as it is written.
  const MOMENTS = [() => existsSync(`${keys}.new`), () => sizeOf(log) > before + 100_000];
  for (const isNow of MOMENTS) {
    const ordered = daemon.cli(["apply", "-f", file, "--keys-to", keys]);
    let isOver = false;
    void ordered.then(() => (isOver = true));
    await until(() => isNow() || isOver, "the moment has come");
    await daemon.stop("SIGKILL");
    await ordered;
    daemon = await startDaemon(t, { config, dir });
    const count = (await usersOf(daemon)).length;
    assert.ok(count === 0 || count === 300, `${count} users`);
    if (count === 300) break;
  }
  const done = existsSync(keys)
    ? undefined
    : await daemon.cli(["apply", "-f", file, "--keys-to", keys]);
  assert.equal(done?.code ?? 0, 0, done?.stderr);
  assert.equal((await usersOf(daemon)).length, 300);
  const entries = entriesIn(keys);
  assert.equal(new Set(entries.map(([name]) => name)).size, 300);
  for (const [name, key] of entries.slice(-20)) {
    const path = `/u/${name}/nothing/mcp`;
    // 404 and not 401: the key is let in.
    const { status } = await ask(daemon.port, { path, headers: bearer(key) });
    assert.equal(status, 404, name);
  }
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.startsWith("keys")),
    ["keys"],
  );
});
