import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../helpers/until.ts";
import { CHILDREN, cluster, countLives, kubectl, podsOf, recipes, startGateway } from "./rig.ts";

test("a pod that is deleted under its session is replaced, and the session goes on", async (t) => {
  const mark = "/tmp/deleted";
  const gateway = await startGateway(t, { stdio: recipes.stdio(mark) });
  const session = await gateway.open("eve", "stdio", "mcp");
  assert.equal(await session.call(1, "echo", { text: "before" }), "before");
  const lives = countLives(mark);
  const [pod] = podsOf("eve");
  kubectl(["-n", CHILDREN, "delete", "pod", pod!.metadata.name, "--grace-period=1"]);
  assert.equal(await session.call(2, "echo", { text: "after" }), "after");
  assert.notEqual(podsOf("eve").at(-1)!.metadata.uid, pod!.metadata.uid);
  assert.ok(lives.most() >= 1);
});

test("a daemon that is killed in the middle of a call leaves the pod to the next, with one answer or one error", async (t) => {
  const mark = "/tmp/adopted";
  const gateway = await startGateway(t, { stdio: recipes.stdio(mark) });
  const session = await gateway.open("fay", "stdio", "mcp");
  const pid = await session.call(0, "pid");
  const lives = countLives(mark);
  for (let round = 1; round <= 3; round += 1) {
    const before = await session.call(`before ${round}`, "echo", { text: "b" });
    assert.equal(before, "b");
    const cut = session.ask(`cut ${round}`, "tools/call", {
      name: "sleep",
      arguments: { ms: 500 },
    });
    cut.catch(() => undefined);
    await gateway.killAndRestart();
    assert.equal(await session.call(`after ${round}`, "pid"), pid, "the same child");
  }
  assert.equal(lives.most(), 1);
  assert.equal(podsOf("fay").length, 1);
});

test("running children need no apiserver", async (t) => {
  const gateway = await startGateway(t, { stdio: recipes.stdio() });
  const session = await gateway.open("gil", "stdio", "mcp");
  await session.call(1, "echo", { text: "x" });
  cluster("end", "apiserver", "SIGKILL");
  try {
    for (let id = 2; id < 20; id += 1)
      assert.equal(await session.call(id, "echo", { text: String(id) }), String(id));
  } finally {
    cluster("start", "apiserver");
  }
  await until(
    () => {
      try {
        return podsOf("gil").length === 1;
      } catch {
        return false;
      }
    },
    "the apiserver is back",
    60_000,
  );
});

test("the successor of a child on a node that is cut off starts only after that one has ended", async (t) => {
  const mark = "/tmp/cut-off";
  const gateway = await startGateway(t, { stdio: recipes.stdio(mark) }, { orphanTimeout: "5s" });
  const session = await gateway.open("hal", "stdio", "mcp");
  const pid = await session.call(1, "pid");
  const [pod] = podsOf("hal");
  const lives = countLives(mark);
  cluster("cut", pod!.spec.nodeName!);
  try {
    await until(
      async () => {
        const { result } = await session.ask(Math.random(), "tools/call", {
          name: "echo",
          arguments: { text: "there" },
        });
        return result !== undefined;
      },
      "another child serves the session",
      90_000,
    );
    assert.notEqual(podsOf("hal").at(-1)!.spec.nodeName, pod!.spec.nodeName);
    assert.ok(lives.seen() >= 2, pid);
  } finally {
    cluster("heal", pod!.spec.nodeName!);
  }
  assert.equal(lives.most(), 1, "at no moment two");
});
