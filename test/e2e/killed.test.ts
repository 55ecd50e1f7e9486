import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { processesWith, startDaemon } from "../helpers/daemon.ts";
import { boxed, callOver, noOutbound, noSandbox } from "../helpers/isolation.ts";
import { until } from "../helpers/until.ts";

const SHAPES = `
  sleep 1111 &
  setsid sleep 1111 &
  ( setsid sh -c 'sleep 1111 & sleep 1111' & ) &
  "$@"; exit $?
`;

interface Row {
  pid: number;
}

/** A server started as npx does it: by a shell that waits for it, with children of its own in groups and sessions of their own. */
function wrapped(more: object): Record<string, unknown> {
  const { command, args, ...rest } = boxed("echo-sse", more) as {
    command: string;
    args: string[];
  };
  return { ...rest, command: "sh", args: ["-c", SHAPES, "sh", command, ...args] };
}

/** Kills the daemon with -9 while such a server runs; the processes of it that are left. */
async function leftAfterKill(
  t: TestContext,
  config: object,
): Promise<{ left: () => number[]; pid: number }> {
  const daemon = await startDaemon(t, {
    config: { ...config, startTimeout: "60s" },
    mayOrphan: true,
  });
  const { key } = await daemon.addUser("alice");
  await callOver(daemon.port, { user: "alice", secret: key.secret, server: "shapes" }, "pid");
  const { instances } = (await daemon.cli(["status"])).json<{ instances: Row[] }>();
  const home = `HOME=${daemon.dataDir}/homes/alice/shapes`;
  const ours = (): number[] => processesWith(home);
  await until(() => ours().length >= 6, "all that it starts has been started");
  assert.ok(ours().includes(instances[0]!.pid));
  await daemon.stop("SIGKILL");
  return { left: ours, pid: instances[0]!.pid };
}

for (const [network, skip] of [
  ["none", noSandbox],
  ["full", noOutbound],
] as const) {
  test(
    `in a sandbox with network "${network}" nothing outlives a daemon that is killed`,
    { skip },
    async (t) => {
      const servers = { shapes: wrapped({ network }) };
      const { left, pid } = await leftAfterKill(t, { isolation: "sandbox", servers });
      const killedAt = performance.now();
      await until(() => left().length === 0, "all of it is gone");
      const helper = `${pid}\0tap0`;
      await until(() => processesWith(helper).length === 0, "no helper of the network is left");
      t.diagnostic(`gone after ${Math.round(performance.now() - killedAt)} ms`);
    },
  );
}

test("without isolation what left the group of the first process outlives a daemon that is killed", async (t) => {
  const servers = { shapes: wrapped({}) };
  const { left } = await leftAfterKill(t, { isolation: "none", servers });
  await until(() => left().length <= 4, "the group has ended");
  assert.ok(left().length >= 3, "what went off into sessions of its own is left");
});
