import { sizeText } from "../config/scalars.ts";
import type { LimitHit } from "../runners/limits.ts";
import type { Exit } from "../runners/runner.ts";

const amountOf = (hit: LimitHit): string =>
  hit.kind === "memory" ? sizeText(hit.bytes) : `${hit.count} processes`;

/** As a predicate of the child: `exited with code 1`, `was killed by SIGKILL`, `was killed: over 512M`. */
export function describeExit({ code, signal, limit }: Exit): string {
  if (limit !== null) return `was killed: over ${amountOf(limit)}`;
  return signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
}

/** As a predicate of a child that lives on: `hit its limit of 64 processes`. */
export const describeStrain = (hit: LimitHit): string => `hit its limit of ${amountOf(hit)}`;
