import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import { MUTATIONS_CONFIG, sayMutations } from "./mutations.ts";

// `npm run mutations` says forty times as many.
const ANSWERS = 5_000;

test("whatever a server of any kind answers, the daemon stays and the neighbour's calls are answered", async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  t.diagnostic(`seed ${seed}`);
  const daemon = await startDaemon(t, { config: MUTATIONS_CONFIG });
  const { key: alice } = await daemon.addUser("alice", "token-of-alice");
  const { key: bob } = await daemon.addUser("bob", "token-of-bob");
  const keys = { alice: alice.secret, bob: bob.secret };
  const figures = await sayMutations({ port: daemon.port, ...keys, seed, answers: ANSWERS });
  t.diagnostic(JSON.stringify(figures));
  const { said, neighbour } = figures;
  assert.ok(said.web + said.events + said.pipe + said.era >= ANSWERS);
  assert.equal(neighbour.answered, neighbour.calls, `seed ${seed}\n${daemon.log().slice(-2000)}`);
  process.kill(daemon.pid, 0);
  assert.doesNotMatch(daemon.log(), /"owner":/, `nothing of ours threw; seed ${seed}`);
});
