// The test suite; the unit tests alone (`--unit`); the long tests (`--long`); those in a real browser (`--browser`); or the files named on the command line.
import { availableParallelism, constants } from "node:os";
import { resolve } from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";
import { MARK, endDescendants } from "./descendants.mjs";
import { Progress } from "./progress.mjs";
import { findTests } from "./suite.mjs";
import { SHARES } from "./unit/share.mjs";

const UNIT = Array.from({ length: SHARES }, (_, at) =>
  fileURLToPath(new URL(`unit/${at + 1}.mjs`, import.meta.url)),
);
// A test waits for other processes, and for time to pass, half of its time. With more of them they wait for memory, too.
const FILES_AT_ONCE = Math.min(availableParallelism() * 2, 6);
// A test that waits for what never comes must not keep the others from being told.
const PATIENCE_MS = 900_000;

function chooseFiles(args) {
  if (args.includes("--unit")) return UNIT;
  if (args.includes("--long")) return findTests().long.map((file) => resolve(file));
  if (args.includes("--browser")) return findTests().browser.map((file) => resolve(file));
  if (args.length > 0) return args.map((file) => resolve(file));
  return [...UNIT, ...findTests().whole.map((file) => resolve(file))];
}

const [name, value] = MARK.split("=");
process.env[name] = value;
// Hundreds of commands and daemons are started: compiling the same files anew took a tenth of all time.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
  new URL("../node_modules/.cache/compiled", import.meta.url),
);
let isEnding = false;
async function end(signal) {
  if (isEnding) return;
  isEnding = true;
  console.error(`${signal}: ending what the tests have started …`);
  await endDescendants();
  process.exit(128 + constants.signals[signal]);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => void end(signal));
// Nobody reads on, as behind "| head".
process.stdout.on("error", () => void end("SIGPIPE"));

const files = chooseFiles(process.argv.slice(2));
const progress = new Progress(files);
for await (const event of run({ files, concurrency: FILES_AT_ONCE, timeout: PATIENCE_MS }))
  if (!isEnding) progress.take(event);
if (!isEnding) process.exit(progress.hasFailed ? 1 : 0);
