import assert from "node:assert/strict";
import { test } from "node:test";
import { listenerNamed, takeListeners } from "../../src/systemd/activation.ts";

test("listeners meant for this process are taken, and their variables are gone", () => {
  const env = { LISTEN_FDS: "2", LISTEN_PID: "77", LISTEN_FDNAMES: "gateway:other", PATH: "/bin" };
  assert.deepEqual(takeListeners(env, 77), [
    { fd: 3, name: "gateway" },
    { fd: 4, name: "other" },
  ]);
  assert.deepEqual(env, { PATH: "/bin" });
});

for (const [what, env] of Object.entries({
  "meant for another process": { LISTEN_FDS: "1", LISTEN_PID: "78" },
  "without a process": { LISTEN_FDS: "1" },
  "in no number": { LISTEN_FDS: "many", LISTEN_PID: "77" },
  "none at all": { LISTEN_FDS: "0", LISTEN_PID: "77" },
})) {
  test(`listeners ${what} are left alone, and their variables are gone all the same`, () => {
    const copy: NodeJS.ProcessEnv = { ...env };
    assert.deepEqual(takeListeners(copy, 77), []);
    assert.deepEqual(copy, {});
  });
}

test("a listener is found by its name, or because it came alone", () => {
  const [gateway, other] = [
    { fd: 3, name: "other" },
    { fd: 4, name: "gateway" },
  ];
  assert.equal(listenerNamed("gateway", [gateway, other]), 4);
  assert.equal(listenerNamed("gateway", [gateway]), 3);
  assert.equal(listenerNamed("gateway", [gateway, { fd: 4, name: "third" }]), undefined);
  assert.equal(listenerNamed("gateway", []), undefined);
});
