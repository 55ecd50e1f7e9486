// npm run test:kubernetes: a real cluster, real pods, nothing mocked. Builds a cluster's programs into a
// cache (once), starts it, runs *.kubernetes.test.ts where a gateway would stand in it, and ends all of
// it. Where the machine cannot do that it says why, and exits 0, or 1 with --require; with --cached it
// does so where the programs are not in the cache. Files that are named are run alone.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { globSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { missingBuilds } from "./build.mjs";
import { whyNoCluster } from "./programs.mjs";
import { buildShim } from "../shim.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CLUSTER = join(ROOT, "tools", "kubernetes", "cluster.mjs");
const ALL_MS = 20 * 60_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    require: { type: "boolean", default: false },
    cached: { type: "boolean", default: false },
  },
});

class CannotRun extends Error {}

/** One command of the cluster's, to its end. */
function cluster(...args) {
  const startedAt = performance.now();
  const { status } = spawnSync(process.execPath, ["--no-warnings", CLUSTER, ...args], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  console.log(`# ${args.join(" ")}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  if (status !== 0) throw new Error(`cluster ${args.join(" ")}: exit ${status}`);
}

function requireMeans() {
  const why = whyNoCluster();
  if (why !== null) throw new CannotRun(why);
  const missing = missingBuilds();
  if (missing.length > 0 && values.cached)
    throw new CannotRun(`not in the cache: ${missing.join(", ")}`);
  if (!buildShim()) throw new CannotRun("there is no Go to build the shim with");
}

async function runTests() {
  const found = globSync("test/kubernetes/*.kubernetes.test.ts", { cwd: ROOT });
  const files = positionals.length > 0 ? positionals : found.toSorted();
  // One after the other: they share a cluster, and some take parts of it away.
  const argv = ["--no-warnings", "--test", "--test-concurrency=1", ...files];
  const child = spawn(
    process.execPath,
    ["--no-warnings", CLUSTER, "run", process.execPath, ...argv],
    { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"], timeout: ALL_MS },
  );
  const [code] = await once(child, "exit");
  return code ?? 1;
}

try {
  requireMeans();
  cluster("build");
  try {
    cluster("up");
    cluster("images");
    process.exitCode = await runTests();
  } finally {
    cluster("down");
    cluster("left");
  }
} catch (error) {
  if (!(error instanceof CannotRun)) throw error;
  if (values.require) process.exitCode = 1;
  const outcome = values.require ? "cannot run" : "SKIP";
  console.log(`# ${outcome} the tests in a cluster: ${error.message}`);
}
