import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import { CHURN_CONFIG, churn, churnEnv } from "./churn.ts";

// `npm run churn` lets 5,000 come and go.
test("two hundred clients that come and go, and fifty that abort a stream, leave nothing behind, over both fronts", async (t) => {
  const dir = daemonFolder(t);
  const heapFile = join(dir, "heap.json");
  const env = churnEnv(heapFile);
  const daemon = await startDaemon(t, { dir, config: CHURN_CONFIG, env });
  const { key } = await daemon.addUser("alice", "token-of-alice");
  const { pid, port, socket } = daemon;
  const figures = await churn(
    { pid, port, controlSocket: socket, heapFile },
    { port, user: "alice", secret: key.secret },
    { cycles: 200, aborts: 50 },
  );
  assert.deepEqual(
    figures.filter(({ isBack }) => !isBack),
    [],
  );
});
