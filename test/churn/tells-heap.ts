// Loaded into a daemon with --import: on SIGUSR2 it collects its garbage and writes what is left to
// the file that HEAP_FILE names.
import { renameSync, writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

export interface Heap {
  /** How often this was written; the first time is 1. */
  turn: number;
  usedBytes: number;
}

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as (how: object) => void;
/** As V8 does before it gives up: caches and code that was not used lately go too. */
const collect = (): void => gc({ type: "major", execution: "sync", flavor: "last-resort" });
const file = process.env["HEAP_FILE"];
let turn = 0;

if (file !== undefined)
  process.on("SIGUSR2", () => {
    collect();
    // What waited for a first collection to be finalized goes with the second.
    setImmediate(() => {
      collect();
      turn += 1;
      const heap: Heap = { turn, usedBytes: process.memoryUsage().heapUsed };
      writeFileSync(`${file}.new`, JSON.stringify(heap));
      renameSync(`${file}.new`, file);
    });
  });
