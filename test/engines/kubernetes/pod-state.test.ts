import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../../src/engines/kubernetes/api/objects.ts";
import { podName } from "../../../src/engines/kubernetes/names.ts";
import { podState } from "../../../src/engines/kubernetes/pod-state.ts";

type Status = NonNullable<Pod["status"]>;
const LIMIT = 64 * 1024 * 1024;
const stateOf = (status: Status) => podState({ metadata: { name: "p" }, status }, LIMIT);

const waiting = (reason: string, message?: string): Status => ({
  phase: "Pending",
  containerStatuses: [{ name: "child", state: { waiting: { reason, message } } }],
});
const ended = (terminated: object, more: Status = {}): Status => ({
  phase: "Failed",
  containerStatuses: [{ name: "child", state: { terminated } }],
  ...more,
});

test("a pod on its way has nothing to say", () => {
  const quiet = { kind: "pending", why: null, isHopeless: false, address: null };
  assert.deepEqual(stateOf({ phase: "Pending" }), quiet);
  assert.deepEqual(stateOf(waiting("PodInitializing")), quiet);
  assert.equal(stateOf({ phase: "Running", podIP: "10.0.0.1" }).kind, "running");
});

test("what a pod waits for is told in words, and whether waiting helps", () => {
  const condition = {
    type: "PodScheduled",
    status: "False",
    reason: "Unschedulable",
    message: "0/2 nodes are available:\n 2 Insufficient memory.",
  };
  const unscheduled = stateOf({ phase: "Pending", conditions: [condition] });
  const pulled = stateOf(waiting("ImagePullBackOff", "no such image"));
  const asRoot = stateOf(waiting("CreateContainerConfigError", "image will run as root"));
  const told = [unscheduled, pulled, asRoot].map((state) =>
    state.kind === "pending" ? [state.why, state.isHopeless] : [],
  );
  assert.deepEqual(told, [
    ["no node takes it (Unschedulable: 0/2 nodes are available: 2 Insufficient memory.)", false],
    ["its image cannot be pulled (child: ImagePullBackOff: no such image)", false],
    ["CreateContainerConfigError: image will run as root", true],
  ]);
});

test("an end has its code or signal, and the limit that it was", () => {
  const plain = stateOf(ended({ exitCode: 3, reason: "Error" }));
  const killed = stateOf(ended({ exitCode: 137, reason: "OOMKilled" }));
  assert.deepEqual(
    [plain, killed].map((state) => (state.kind === "ended" ? state.exit : undefined)),
    [
      { code: 3, signal: null, limit: null },
      { code: null, signal: "SIGKILL", limit: { kind: "memory", bytes: LIMIT } },
    ],
  );
});

test("only a kubelet's word proves that nothing runs", () => {
  const isProven = (status: Status) => {
    const state = stateOf(status);
    return state.kind === "ended" && state.isProven;
  };
  assert.ok(isProven(ended({ exitCode: 0 })));
  const evicted = { phase: "Failed", reason: "Evicted", message: "low on memory" };
  assert.ok(isProven(evicted));
  const collected = { type: "DisruptionTarget", status: "True", reason: "DeletionByPodGC" };
  assert.ok(!isProven({ phase: "Failed", conditions: [collected] }));
  const running = [{ name: "child", state: { running: {} } }];
  assert.ok(!isProven({ phase: "Failed", containerStatuses: running }));
});

test("each generation of each instance of each installation has a name of its own", () => {
  const ref = { user: "alice", server: "mail", variant: "" };
  const names = [
    podName("i", ref, 1),
    podName("i", ref, 2),
    podName("j", ref, 1),
    podName("i", { ...ref, variant: "modern" }, 1),
    podName("i", { ...ref, user: "bob" }, 1),
  ];
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^mcps-[0-9a-f]{20}-g\d$/);
});
