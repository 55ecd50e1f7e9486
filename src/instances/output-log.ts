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

/** The last lines that the children of a user and server wrote, across generations, without secrets. */
export class OutputLog {
  readonly #lines: LogLine[] = [];
  readonly #scrubber: Scrubber;
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

  /** Oldest first. */
  lines(): LogLine[] {
    return this.#lines.slice(this.#next).concat(this.#lines.slice(0, this.#next));
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
