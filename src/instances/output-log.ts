import type { StreamName } from "../engines/engine.ts";
import { CUT_MARK } from "../platform/line-window.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import type { LogLine, Ref } from "./instance-types.ts";

const MAX_LINES = 200;

/** A child, by its instance and its generation. */
interface Writer {
  readonly ref: Pick<Ref, "variant">;
  readonly generation: number;
}

/** What became of a child: `failed` where it did not start or ended unasked, else `ok`. */
export const LOG_OUTCOMES = ["ok", "failed"] as const;
export type LogOutcome = (typeof LOG_OUTCOMES)[number];

const nameOf = (variant: string, generation: number): string => `${generation}:${variant}`;

/** The last lines that the children of a user and server wrote, across generations, without secrets. */
export class OutputLog {
  readonly #lines: LogLine[] = [];
  readonly #scrubber: Scrubber;
  /** The children that failed, by variant and generation. */
  readonly #failed = new Set<string>();
  #next = 0;

  constructor(scrubber: Scrubber) {
    this.#scrubber = scrubber;
  }

  add({ ref, generation }: Writer, stream: StreamName, written: string): LogLine {
    const { variant } = ref;
    const line = { variant, generation, at: Date.now(), stream, text: this.scrub(written) };
    this.#lines[this.#next] = line;
    this.#next = (this.#next + 1) % MAX_LINES;
    return line;
  }

  /** The text without secrets, as a line of this log has it. */
  scrub(text: string): string {
    if (!text.endsWith(CUT_MARK)) return this.#scrubber.scrub(text);
    return this.#scrubber.scrubCut(text.slice(0, -CUT_MARK.length)) + CUT_MARK;
  }

  /** That child did not start, or ended unasked. */
  noteFailed({ ref, generation }: Writer): void {
    this.#failed.add(nameOf(ref.variant, generation));
    if (this.#failed.size <= MAX_LINES) return;
    // Of most of them no line is left.
    const kept = new Set(this.#lines.map((line) => nameOf(line.variant, line.generation)));
    for (const name of this.#failed) if (!kept.has(name)) this.#failed.delete(name);
  }

  /** Oldest first; those of children that came to this, where it is named. */
  lines(outcome?: LogOutcome): LogLine[] {
    const all = this.#lines.slice(this.#next).concat(this.#lines.slice(0, this.#next));
    if (outcome === undefined) return all;
    return all.filter(({ variant, generation }) => {
      const isFailed = this.#failed.has(nameOf(variant, generation));
      return isFailed === (outcome === "failed");
    });
  }

  /** The text of the last lines that this child wrote at or after `since` (epoch ms). */
  tail({ ref, generation }: Writer, count: number, since: number): string[] {
    return this.lines()
      .filter((line) => line.variant === ref.variant && line.generation === generation)
      .filter((line) => line.at >= since)
      .slice(-count)
      .map((line) => line.text);
  }
}
