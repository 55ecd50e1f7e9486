import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { atEnd, startDaemon } from "../helpers/daemon.ts";
import type { AddedUser } from "../helpers/daemon.ts";
import { bearer, fixture, initialize, json } from "../helpers/fixtures.ts";
import { PROGRAM } from "../helpers/program.ts";
import { ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

test("logs -f prints each line of a child as it comes, until it is ended", async (t) => {
  const crashing = fixture("http", "crash-on-start");
  const rig = await startForAlice(t, { echo: fixture("sse", "echo-sse"), crashing });
  await rig.sse("echo");
  const argv = ["--config", rig.daemon.configPath, "logs", "alice", "-f", "--json"];
  const follower = spawn(process.execPath, ["--no-warnings", PROGRAM, ...argv], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(follower, "close") as Promise<[number | null, string | null]>;
  atEnd(t, () => follower.kill("SIGKILL"));
  const lines: { server: string; text: string; stream: string }[] = [];
  createInterface({ input: follower.stdout }).on("line", (line) =>
    lines.push(JSON.parse(line) as (typeof lines)[number]),
  );
  // Whoever finds its port taken says more than that.
  const listens = () => lines.some(({ text }) => /^listening on \d+$/.test(text));
  await until(listens, "what was said before comes first");
  await rig.post("/u/alice/crashing/mcp", initialize());
  const { server, text, stream } = await until(
    () => lines.find((line) => line.server === "crashing"),
    "what is said now comes now",
  );
  assert.deepEqual(
    [server, text, stream],
    ["crashing", "cannot start: the mailbox is missing", "stderr"],
  );
  assert.equal(follower.exitCode, null, "it goes on");
  follower.kill("SIGINT");
  await ended;
});

/** In a daemon that begins with it no start gives up its turn for having been at it for 5 s. */
const PATIENT = `const real = setTimeout;
globalThis.setTimeout = (act, ms, ...rest) => real(act, ms === 5000 ? 1e9 : ms, ...rest);`;

test("status tells how many starts are under way, and how many wait for theirs", async (t) => {
  const daemon = await startDaemon(t, {
    config: {
      servers: { slow: fixture("http", "slow-start", "--after", "600000") },
      limits: { spawnConcurrency: 1 },
      startTimeout: "10m",
    },
    env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(PATIENT)}` },
  });
  interface Status {
    queue: { starting: number; waiting: number };
  }
  const queue = async () => (await daemon.cli(["status"])).json<Status>().queue;
  assert.deepEqual(await queue(), { starting: 0, waiting: 0 });
  const clients: Promise<unknown>[] = [];
  for (const name of ["alice", "bob", "carol"]) {
    const { key }: AddedUser = await daemon.addUser(name);
    const headers = [...bearer(key.secret), ...json];
    const path = `/u/${name}/mcp`;
    const asked = ask(daemon.port, { method: "POST", path, body: initialize(), headers });
    // They are cut off with the daemon, which is the end of this test.
    clients.push(asked.catch(() => undefined));
  }
  await until(async () => (await queue()).waiting === 2, "two of them wait");
  assert.deepEqual(await queue(), { starting: 1, waiting: 2 });
  const { stdout } = await daemon.cli(["status"], { isForPeople: true });
  assert.match(stdout, /^starts of children: 1 under way, 2 wait for their turn$/m);
  await daemon.stop();
  await Promise.all(clients);
});
