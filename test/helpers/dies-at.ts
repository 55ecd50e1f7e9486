import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/** What changes or keeps files, of what the code under test calls by name. */
const CALLS = [
  "closeSync",
  "fchmodSync",
  "fchownSync",
  "fsyncSync",
  "linkSync",
  "openSync",
  "renameSync",
  "rmSync",
  "writeFileSync",
] as const;

/**
 * Runs `work` until it makes the call of that number to the file system, at which, and from which on,
 * none does anything any more: what is there then is what `kill -9` would leave. Whether it came so far.
 */
export function diesAt(call: number, work: () => void): boolean {
  const real = CALLS.map((name) => [name, fs[name]] as const);
  const opened = new Set<number>();
  let made = 0;
  for (const [name, does] of real)
    Object.assign(fs, {
      [name]: (...args: unknown[]) => {
        made += 1;
        if (made >= call) throw new Error("is dead");
        const result = (does as (...given: unknown[]) => unknown)(...args);
        if (name === "openSync") opened.add(result as number);
        if (name === "closeSync") opened.delete(args[0] as number);
        return result;
      },
    });
  syncBuiltinESMExports();
  try {
    work();
  } catch (error) {
    if (made < call) throw error;
  } finally {
    Object.assign(fs, Object.fromEntries(real));
    syncBuiltinESMExports();
    for (const file of opened) fs.closeSync(file);
  }
  return made >= call;
}
