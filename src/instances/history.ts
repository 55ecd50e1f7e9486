import type { ErrorCode } from "../errors.ts";
import type { Exit } from "../engines/engine.ts";

/** As many tell a loop from a mishap. */
const MAX_KEPT = 10;

/** A start that failed, or an end that nobody asked for. */
export interface InstanceFailure {
  /** Epoch ms. */
  at: number;
  generation: number;
  /** Null for a child that was ready. */
  code: ErrorCode | null;
  /** A predicate of the child: `exited with code 1 before it was ready`. */
  reason: string;
  exit: Exit | null;
  /** The last lines it wrote. */
  lines: readonly string[];
}

/** The last failures of one instance, the newest first. */
export class History {
  #failures: InstanceFailure[] = [];

  add(failure: InstanceFailure): void {
    this.#failures = [failure, ...this.#failures].slice(0, MAX_KEPT);
  }

  all(): readonly InstanceFailure[] {
    return this.#failures;
  }
}
