import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { fixture } from "../helpers/fixtures.ts";
import { isAlive, processesMarked } from "../helpers/leaks.ts";
import { until } from "../helpers/until.ts";

const SERVERS = { scatters: fixture("sse", "forks-grandchild") };

test("level none: what kill -9 of the daemon leaves is ended by its next start, which says so", async (t) => {
  const { daemon, sse, row } = await startForAlice(t, SERVERS, {}, { mayOrphan: true });
  await sse("scatters");
  const { pid } = await row("scatters");
  const mark = `HOME=${daemon.dir}`;
  const before = processesMarked(mark);
  await daemon.stop("SIGKILL");
  assert.ok(before.length >= 4, `${before.length} run`);
  // Nothing at this level ties what has a session of its own to the daemon: all that is promised is the next start.
  const left = await until(() => {
    const found = processesMarked(mark);
    return found.length === 1 ? found : undefined;
  }, "only the one in a session of its own is left");

  const next = await startDaemon(t, { dir: daemon.dir, config: { servers: SERVERS } });
  assert.deepEqual(processesMarked(mark), [], "before it serves");
  assert.equal(isAlive(pid), false);
  const line = await until(() => /"count":(\d+).*left behind/.exec(next.log()), "it is said");
  assert.equal(Number(line[1]), left.length);
});
