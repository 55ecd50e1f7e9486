// Which test files there are, which of them are unit tests, and which are long.
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/**
 * What starts processes. A test file that imports none of these, itself or by the helpers that it
 * imports, is a unit test.
 */
const STARTS_PROCESSES =
  /^(node:child_process|src\/(daemon|instances\/supervisor|engines\/(process\/(process-engine|process-trees|start-process|levels|findings)|kubernetes\/api\/kubeconfig))\.ts)$/;

/** What a file imports for more than its types; files of the project by their path from its root. */
function importsOf(file) {
  const imports = /^(?:import|export)\s+(?!type\b)(?:[^;'"]*?\bfrom\s+)?["']([^"']+)["']/gm;
  return Array.from(readFileSync(join(ROOT, file), "utf8").matchAll(imports), ([, name]) =>
    name.startsWith(".") ? relative(ROOT, join(ROOT, dirname(file), name)) : name,
  );
}

function startsProcesses(file, seen = new Set()) {
  seen.add(file);
  return importsOf(file).some(
    (name) =>
      STARTS_PROCESSES.test(name) ||
      (name.startsWith("test/") && !seen.has(name) && startsProcesses(name, seen)),
  );
}

/** Begun first, so that at the end not one of them is what all wait for. */
const LONGEST = [
  "test/e2e/impersonation.test.ts",
  "test/e2e/doctor.test.ts",
  "test/e2e/cli.test.ts",
  "test/e2e/daemon.test.ts",
  "test/e2e/strays.test.ts",
  "test/e2e/eras.test.ts",
  "test/e2e/child-limits.test.ts",
  "test/e2e/streams.test.ts",
  "test/e2e/idle.test.ts",
  "test/e2e/manifest.test.ts",
];

/** `cluster`: what `npm run test:kubernetes` does in one. `browser`: what is done in a real browser, by `npm run browser`. `long`: what `npm test` leaves to `npm run test:long`. */
function kindOf(file) {
  if (file.startsWith("test/browser/")) return "browser";
  if (file.endsWith(".kubernetes.test.ts")) return "cluster";
  if (file.endsWith(".long.test.ts")) return "long";
  return startsProcesses(file) ? "whole" : "unit";
}

/** `unit`: those that start no process, so that one process can run them all. `long`: those of `npm run test:long`. `browser`: those of `npm run browser`. */
export function findTests() {
  const files = new Set(globSync("test/**/*.test.ts", { cwd: ROOT }).toSorted());
  const longest = new Set(LONGEST).intersection(files);
  const {
    unit = [],
    whole = [],
    long = [],
    browser = [],
  } = Object.groupBy(longest.union(files), kindOf);
  return { unit, whole, long, browser };
}
