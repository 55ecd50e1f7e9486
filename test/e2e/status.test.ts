import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { fixture, initialize } from "../helpers/fixtures.ts";
import { NO_TERMINAL, onTerminal } from "../helpers/terminal.ts";
import { until } from "../helpers/until.ts";

interface Row {
  user: string;
  server: string;
  failing: boolean;
  rssBytes: number | null;
}

const SERVERS = {
  echo: fixture("http", "echo-sse"),
  crashing: fixture("http", "crash-on-start"),
  other: fixture("sse", "echo-sse"),
};

test("status can be narrowed to what fails and to a server, and put in order", async (t) => {
  const { daemon, post } = await startForAlice(t, SERVERS);
  for (const server of ["echo", "other"])
    assert.equal((await daemon.cli(["start", "alice", "--server", server])).code, 0);
  assert.equal((await post("/u/alice/crashing/mcp", initialize())).status, 502);
  const rows = async (...flags: string[]): Promise<Row[]> =>
    (await daemon.cli(["status", ...flags])).json<{ instances: Row[] }>().instances;
  const servers = async (...flags: string[]) => (await rows(...flags)).map(({ server }) => server);
  assert.deepEqual(await servers(), ["crashing", "echo", "other"]);
  assert.deepEqual(await servers("--failing"), ["crashing"]);
  assert.deepEqual(await servers("--server", "other"), ["other"]);
  assert.deepEqual(await servers("--failing", "--server", "other"), []);
  const sizes = (await rows("--sort", "memory")).map(({ rssBytes }) => rssBytes ?? -1);
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => b - a),
  );
  assert.equal(sizes.at(-1), -1, "what does not run comes last");
  assert.equal((await daemon.cli(["status", "--server", "nope"])).error().type, "SERVER_NOT_FOUND");
  assert.equal((await daemon.cli(["status", "--sort", "name"])).code, 2);

  const people = await daemon.cli(["status"], { isForPeople: true });
  assert.match(people.stdout, /\n1 user, 2 running, 1 failing, [\d.]+( MiB)? of 8 GiB\n/);
  assert.match(people.stdout, /\nalice +crashing +\S+ .*\n {2}.*exited with code 3/);
  const narrow = await daemon.cli(["status"], { isForPeople: true, env: { COLUMNS: "60" } });
  for (const line of narrow.stdout.split("\n").slice(1)) assert.ok(line.length <= 60, line);
  const well = await daemon.cli(["status", "--failing", "--server", "echo"], { isForPeople: true });
  assert.match(well.stdout, /\nNone is failing\.\n$/);
});

test("a status that is watched is shown in place again and again, until Ctrl-C", async (t) => {
  if (NO_TERMINAL !== false) return t.skip(NO_TERMINAL);
  const { daemon } = await startForAlice(t, SERVERS);
  const watching = onTerminal(["status", "--watch", "--config", daemon.configPath]);
  const screens = () => watching.shown().split("\u001b[H\u001b[2J").slice(1);
  const screen = /^mcp-supervisor .*\r\n1 user, 0 running, 0 failing, 0 of 8 GiB\r\n/;
  // A terminal hands on what is written to it in pieces.
  await until(() => screens().filter((text) => screen.test(text)).length >= 2, "it is shown again");
  watching.type("\u0003");
  assert.notEqual(await watching.closed, 0);
  assert.match(screens()[0] ?? "", screen);
});

test("logs can be bounded by number and by time", async (t) => {
  const script = "for (let n = 0; n < 5; n += 1) console.error('line ' + n); process.exit(3);";
  const says = { command: process.execPath, args: ["-e", script] };
  const { daemon } = await startForAlice(t, { says });
  assert.equal((await daemon.cli(["start", "alice"])).code, 1);
  const texts = async (...flags: string[]): Promise<string[]> =>
    (await daemon.cli(["logs", "alice", ...flags]))
      .json<{ logs: { text: string }[] }>()
      .logs.map(({ text }) => text);
  await until(async () => (await texts()).includes("line 4"), "it has said all");
  assert.deepEqual(await texts("-n", "2"), ["line 3", "line 4"]);
  assert.deepEqual(await texts("-n", "0"), []);
  assert.deepEqual(await texts("--outcome", "failed", "-n", "1"), ["line 4"]);
  assert.deepEqual(await texts("--outcome", "ok"), []);
  assert.deepEqual(await texts("--since", "2031-01-01T00:00:00Z"), []);
  assert.equal((await texts("--since", "1h")).length, 5);
  const byUser = await daemon.cli(["logs", "--user", "alice", "-n", "1"]);
  assert.equal(byUser.json<{ logs: object[] }>().logs.length, 1);
  assert.equal((await daemon.cli(["logs"])).code, 2);
  assert.equal((await daemon.cli(["logs", "alice", "-n", "some"])).error().type, "REQUEST_INVALID");
});
