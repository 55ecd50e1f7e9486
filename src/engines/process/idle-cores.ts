import { readFileSync } from "node:fs";

interface Ticks {
  idle: number;
  all: number;
}

/** Of all cores since the boot; undefined where the system does not say. */
function readTicks(): Ticks | undefined {
  try {
    const text = readFileSync("/proc/stat", "latin1");
    const ticks = text.slice(0, text.indexOf("\n")).split(/\s+/).slice(1, 9).map(Number);
    return { idle: ticks[3]!, all: ticks.reduce((sum, one) => sum + one, 0) };
  } catch {
    return undefined;
  }
}

/** A function that tells how many of `cores` did nothing since it was last asked; 0 where that is not known. */
export function meterIdleCores(cores: number): () => number {
  let last: Ticks | undefined;
  return () => {
    const before = last;
    const now = (last = readTicks());
    if (before === undefined || now === undefined || now.all === before.all) return 0;
    return (cores * (now.idle - before.idle)) / (now.all - before.all);
  };
}
