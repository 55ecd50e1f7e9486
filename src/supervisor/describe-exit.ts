import { sizeText } from "../config/scalars.ts";
import type { LimitHit } from "../runners/limits.ts";
import type { Exit } from "../runners/runner.ts";

/** As a predicate of the child: `exited with code 1`, `was killed by SIGKILL`, `was killed: over 512M`. */
export function describeExit({ code, signal, limit }: Exit): string {
  if (limit?.kind === "memory") return `was killed: over ${sizeText(limit.bytes)}`;
  return signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
}

/** As a predicate of a child that lives on: `hit its limit of 64 processes`. */
export function describeStrain(hit: LimitHit): string {
  return hit.kind === "pids"
    ? `hit its limit of ${hit.count} processes`
    : `is over ${sizeText(hit.bytes)}`;
}
