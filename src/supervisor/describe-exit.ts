import type { Exit } from "../runners/runner.ts";

/** As a predicate of the child: `exited with code 1`, `was killed by SIGKILL`. */
export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
}
