// Starts one child as the daemon would and waits to be killed. Arguments: the child's spec as JSON.
import { startProcess } from "../../../../src/engines/process/start-process.ts";
import type { RunSpec } from "../../../../src/engines/process/run-spec.ts";

const spec = JSON.parse(process.argv[2]!) as RunSpec;
const running = await startProcess(spec, (_, line) => console.log(line));
console.log(`started ${running.pid}`);
process.on("SIGTERM", () => {
  void running.stop().then(() => process.exit(0));
});
setInterval(() => {}, 60_000);
