import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { fixture, initialize } from "../helpers/fixtures.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const SKIPS_AHEAD = new URL("../helpers/skips-ahead.ts", import.meta.url).href;

/** Starts what follows only with the right token, or with FIXED set. A shell, because it fails soon. */
const PICKY = `
  [ "$USER_TOKEN" = the-right-token ] || [ -n "$FIXED" ] || { echo "the token is wrong" >&2; exit 3; }
  exec "$@"
`;

interface Refusal {
  error: { data: { type: string }; message: string };
}

test("a parked child answers at once why, and a new token or config ends that", async (t) => {
  const { command, args, ...echo } = fixture("http", "echo-sse");
  const picky = {
    ...echo,
    command: "sh",
    args: ["-c", PICKY, "sh", command, ...(args as string[])],
    tokenEnv: "USER_TOKEN",
  };
  const env = { NODE_OPTIONS: `--import ${SKIPS_AHEAD}` };
  const { daemon, post } = await startForAlice(t, { picky }, {}, { env });
  const knock = async () => await post("/u/alice/mcp", initialize());
  const row = async () => {
    const { instances } = (await daemon.cli(["status"])).json<{
      instances: { state: string; generation: number }[];
    }>();
    return instances[0]!;
  };
  const park = async (): Promise<void> => {
    const isParked = async (): Promise<boolean> => {
      const state = (await instancesOf(daemon))[0]?.state;
      if (state === "parked") return true;
      // What it becomes is told when nothing of the child is left: until then no time is to pass.
      if (state === "draining") return false;
      process.kill(daemon.pid, "SIGUSR2");
      await knock();
      return false;
    };
    await until(isParked, "it has failed often enough", 120_000);
  };
  const setToken = async (input: string) =>
    assert.equal((await daemon.cli(["token", "set", "alice", "--token-stdin"], { input })).code, 0);

  await park();
  const parked = await row();
  const refused = await knock();
  const { error } = JSON.parse(refused.body) as Refusal;
  assert.deepEqual([refused.status, error.data.type], [503, "INSTANCE_BACKING_OFF"]);
  assert.match(
    error.message,
    /^alice\/picky: the child exited with code 3 before it was ready \(10 failures in a row\); parked; .* a new token or config, or by a message in \d+ s$/,
  );
  assert.ok(Number(refused.headers["retry-after"]) > 240, "minutes, of which it waited for none");
  assert.equal((await row()).generation, parked.generation, "nothing was started for the answer");

  await setToken("the-right-token");
  assert.equal((await row()).state, "stopped");
  const answered = await knock();
  assert.equal(answered.status, 200, answered.body);

  // A wrong one would leave it serving.
  assert.equal((await daemon.cli(["token", "clear", "alice"])).code, 0);
  await park();
  const config = JSON.parse(readFileSync(daemon.configPath, "utf8")) as Record<string, object>;
  config["servers"] = { picky: { ...picky, env: { FIXED: "1" } } };
  writeFileSync(daemon.configPath, JSON.stringify(config));
  assert.equal((await daemon.cli(["reload"])).code, 0);
  assert.equal((await row()).state, "stopped");
  const again = await knock();
  assert.equal(again.status, 200, again.body);
});
