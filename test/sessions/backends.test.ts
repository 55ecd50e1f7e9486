import assert from "node:assert/strict";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { Backends } from "../../src/sessions/backends.ts";
import { testInstance } from "../helpers/instance.ts";

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a generation's end is told to each that waits for it, once, and to none that has let go", async () => {
  const child = testInstance();
  child.start(new URL("http://127.0.0.1:1/mcp"));
  const live = await child.instance.ensure();
  const backends = new Backends();
  const told: string[] = [];
  backends.onEnd(live, () => {
    told.push("first");
    letGo();
    throw new SupervisorError("STORE_FAILED", "it fails");
  });
  const letGo = backends.onEnd(live, () => told.push("let go at the end"));
  backends.onEnd(live, () => told.push("let go before"))();
  backends.onEnd(live, () => told.push("last"));
  child.end("exited with code 1");
  await settled();
  assert.deepEqual(told, ["first", "last"]);

  backends.onEnd(live, () => told.push("came late"));
  backends.onEnd(live, () => told.push("came late and let go"))();
  assert.deepEqual(told.slice(2), []);
  await settled();
  assert.deepEqual(told.slice(2), ["came late"]);
});
