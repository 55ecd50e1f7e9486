import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { call, fixture } from "../helpers/fixtures.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

interface Server {
  command: string;
  args: string[];
}

/** From now on the server is started with these arguments. */
async function reload({ daemon }: Alice, change: (server: Server) => void): Promise<void> {
  const file = JSON.parse(readFileSync(daemon.configPath, "utf8")) as {
    servers: { one: Server };
  };
  change(file.servers.one);
  writeFileSync(daemon.configPath, JSON.stringify(file));
  assert.equal((await daemon.cli(["reload"])).code, 0);
}

/** Which generations there are, in which state. */
const shown = async ({ daemon }: Alice): Promise<string[]> =>
  (await instancesOf(daemon)).map(({ generation, state }) => `${generation} ${state}`);

test("an admin replaces a child that serves, and one that fails to start takes nothing away", async (t) => {
  const alice = await startForAlice(t, { one: fixture("http", "echo-sse") });
  const { daemon } = alice;
  const works = async (): Promise<void> => {
    const session = await alice.http("one");
    const said = await alice.post("/u/alice/mcp", call(1, "echo", { text: "hello" }), session);
    assert.match(said.body, /hello/);
  };
  const restart = async (isForPeople = true) =>
    await daemon.cli(["restart", "alice", "--graceful"], { isForPeople });
  await works();
  const first = await alice.row("one");

  const done = await restart();
  assert.equal(done.code, 0, done.stderr);
  const second = await alice.row("one");
  assert.notEqual(second.pid, first.pid);
  assert.ok(done.stdout.includes(`alice/one is ready (pid ${second.pid}, port ${second.port}).`));
  await works();

  const { command, args } = fixture("http", "echo-sse") as unknown as Server;
  await reload(alice, (server) =>
    Object.assign(server, { command: "sh", args: ["-c", "echo 'Error: no mailbox' >&2; exit 3"] }),
  );
  const why = "could not be replaced: the next one exited with code 3 before it was ready";
  await until(
    async () => (await instancesOf(daemon)).some(({ reason }) => reason === why),
    "status says so",
  );
  await works();
  assert.equal((await alice.row("one")).pid, second.pid);
  const doctor = await daemon.cli(["doctor", "alice"], { isForPeople: true });
  assert.equal(doctor.code, 1);
  assert.match(
    doctor.stdout.split("\n")[0]!,
    /^alice\/one: the child could not be replaced: the next one exited with code 3 before it was ready: Error: no mailbox; it goes on serving/,
  );
  const refused = await restart(false);
  assert.equal(refused.code, 1);
  assert.equal(refused.error().type, "INSTANCE_EXITED");
  assert.match(refused.error().message, /exited with code 3 .*; the one before goes on serving$/);

  await reload(alice, (server) => Object.assign(server, { command, args }));
  await until(
    async () => (await alice.row("one")).pid !== second.pid && (await shown(alice)).length === 1,
    "another child serves, and nothing is left of the one before",
  );
  await works();
  assert.equal((await daemon.cli(["doctor", "alice"])).code, 0);
});
