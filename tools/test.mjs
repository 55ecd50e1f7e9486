// The whole test suite, or the files named on the command line.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";

const named = process.argv.slice(2);
const files = named.length > 0 ? named : globSync("test/**/*.test.ts").toSorted();
const done = spawnSync(
  process.execPath,
  [
    "--no-warnings",
    "--test",
    "--test-concurrency=2",
    // A test that waits for what never comes must not keep the others from being told.
    "--test-timeout=900000",
    ...files,
  ],
  {
    stdio: "inherit",
  },
);
process.exit(done.status ?? 1);
