import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import type { TestContext } from "node:test";
import {
  findProcess,
  readProcessTable,
  treeOf,
} from "../../../src/engines/process/process-table.ts";
import { Rest } from "../../../src/engines/process/rest.ts";
import { until } from "../../helpers/until.ts";

/** A shell that does what it is told by line, and says so, with the rest that it has before the first. */
async function resting(t: TestContext) {
  const shell = spawn("sh", ["-c", 'while read -r line; do eval "$line"; echo done; done'], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
  });
  t.after(() => process.kill(-shell.pid!, "SIGKILL"));
  const rest = new Rest();
  const look = async () => rest.begin(treeOf(shell.pid!, await readProcessTable()));
  const told = async (line: string) => {
    shell.stdin.write(`${line}\n`);
    await once(shell.stdout, "data");
  };
  await told(":");
  await until(async () => {
    await look();
    return !rest.isOver() && !rest.isOver();
  }, "it has come to rest");
  return { pid: shell.pid!, rest, look, told };
}

test("a child that has done nothing since it was looked at is at rest", async (t) => {
  const { rest } = await resting(t);
  assert.equal(rest.isOver(), false);
});

test("the rest of a child is over with the CPU it uses, and once more", async (t) => {
  const { pid, rest, look, told } = await resting(t);
  const { ownTicks } = findProcess(pid)!;
  await told("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
  assert.ok(findProcess(pid)!.ownTicks > ownTicks);
  assert.equal(rest.isOver(), true);
  await look();
  assert.equal(rest.isOver(), true);
  await until(() => !rest.isOver(), "it is at rest again");
});

test("the rest of a child is over with a process that it starts, however little that cost", async (t) => {
  const { rest, told } = await resting(t);
  await told("sleep 1000 > /dev/null &");
  assert.equal(rest.isOver(), true);
});

test("the rest of a child is over with the end of one of its processes", async (t) => {
  const { rest, look, told } = await resting(t);
  await told("sleep 1000 > /dev/null & pid=$!");
  await look();
  rest.isOver();
  await until(() => !rest.isOver(), "it is at rest beside the other");
  await told('kill -9 "$pid"; wait "$pid"');
  assert.equal(rest.isOver(), true);
});

test("nothing is at rest that nobody has looked at", () => {
  assert.equal(new Rest().isOver(), true);
});
