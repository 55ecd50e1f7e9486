import assert from "node:assert/strict";
import { test } from "node:test";
import { Closers, openOrClose } from "../../src/platform/closers.ts";

test("what was opened is closed in reverse, once, and all of it, with the first failure told", async () => {
  const closed: string[] = [];
  const closers = new Closers();
  for (const name of ["a", "b", "c"])
    closers.opened({
      close: async () => {
        closed.push(name);
        await Promise.resolve();
        if (name !== "a") throw new Error(name);
      },
    });
  const outcomes = await Promise.allSettled([closers.close(), closers.close()]);
  assert.deepEqual(closed, ["c", "b", "a"]);
  for (const outcome of outcomes)
    assert.equal(outcome.status === "rejected" && String(outcome.reason), "Error: c");
});

test("an opening that fails closes what it had opened, and rejects with its own failure", async () => {
  const said: string[] = [];
  const log = { error: (_about: object, message: string) => void said.push(message) };
  const opening = openOrClose(log, async (closers) => {
    closers.opened({ close: () => said.push("closed") });
    closers.push(() => Promise.reject(new Error("closing")));
    return await Promise.reject(new Error("opening"));
  });
  await assert.rejects(opening, /opening/);
  assert.deepEqual(said, ["closed", "closing after a failed start failed too"]);
});
