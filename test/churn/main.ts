// npm run churn [-- --cycles 5000 --aborts 1000]: clients come and go, and nothing may be left of them.
// Exits 0 only if everything is back to what it was.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import { CHURN_CONFIG, churn, churnEnv } from "./churn.ts";

const { values } = parseArgs({
  options: {
    cycles: { type: "string", default: "5000" },
    aborts: { type: "string", default: "1000" },
  },
});
const [cycles, aborts] = [Number(values.cycles), Number(values.aborts)];
const folder = mkdtempSync(join(tmpdir(), "churn-"));
const heapFile = join(folder, "heap.json");
const daemon = await startDaemonProcess(CHURN_CONFIG, { env: churnEnv(heapFile) });
try {
  const { key } = await daemon.addUser("alice", "token-of-alice");
  const { pid, controlSocket, origin } = daemon;
  const port = Number(new URL(origin).port);
  const begun = performance.now();
  const seconds = () => ((performance.now() - begun) / 1000).toFixed(0);
  const figures = await churn(
    { pid, port, controlSocket, heapFile },
    { port, user: "alice", secret: key.secret },
    { cycles, aborts, onProgress: (words) => console.error(`${words} after ${seconds()} s`) },
  );
  console.log(
    `${cycles} clients have come and gone, ${aborts} streams were aborted, ${seconds()} s`,
  );
  for (const { what, before, after, isBack } of figures)
    console.log(`${what}: ${before} before, ${after} after${isBack ? "" : ": LEFT BEHIND"}`);
  process.exitCode = figures.every(({ isBack }) => isBack) ? 0 : 1;
} finally {
  await daemon.stop();
  rmSync(folder, { recursive: true, force: true });
}
