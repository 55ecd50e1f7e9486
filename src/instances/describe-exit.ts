import { sizeText } from "../platform/sizes.ts";
import type { CpuLoad, Exit, LimitHit, Running } from "../engines/engine.ts";
import { counted } from "../errors.ts";

const amountOf = (hit: LimitHit): string =>
  hit.kind === "memory" ? sizeText(hit.bytes) : counted(hit.count, "process", "processes");

/** As a predicate of the child: `exited with code 1`, `was killed by SIGKILL`, `was killed: over 512M`. */
export function describeExit({ code, signal, limit }: Exit): string {
  if (limit !== null) return `was killed: over ${amountOf(limit)}`;
  return signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
}

/** As a predicate of a child that lives on: `hit its limit of 64 processes`. */
export const describeStrain = (hit: LimitHit): string => `hit its limit of ${amountOf(hit)}`;

/** As a predicate of a child that lives on: `has written more than is read for 12 s, and waits`. */
export const describeFlood = (ms: number): string =>
  `has written more than is read for ${Math.round(ms / 1000)} s, so it is read slowly`;

/** As a predicate of a child that lives on: `has used 100 % of its CPU limit (0.5) for 12 s`. */
export function describeLoad(load: CpuLoad): string {
  const { since, cores, limit } = load;
  const seconds = Math.round((Date.now() - since) / 1000);
  const what =
    limit === null
      ? counted(Number(cores.toFixed(1)), "core")
      : `${Math.round((cores / limit) * 100)} % of its CPU limit (${limit})`;
  return `has used ${what}${load.isStarved ? ", all that it could get," : ""} for ${seconds} s`;
}

/** Tells, as a predicate of a child that lives on, each time that it begins to take more than its share. */
export function onOverload(
  running: Pick<Running, "onBusy" | "output">,
  tell: (what: string) => void,
): void {
  running.onBusy((load) => tell(describeLoad(load)));
  running.output.onFlood((ms) => tell(describeFlood(ms)));
}
