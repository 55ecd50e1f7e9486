import type { StreamName } from "../runners/runner.ts";
import type { LogLine } from "./instance-types.ts";

const MAX_LINES = 200;

/** The last lines an instance wrote, across its generations. */
export class OutputLog {
  readonly #lines: LogLine[] = [];
  #next = 0;

  add(stream: StreamName, text: string): LogLine {
    const line = { at: Date.now(), stream, text };
    this.#lines[this.#next] = line;
    this.#next = (this.#next + 1) % MAX_LINES;
    return line;
  }

  /** Oldest first. */
  lines(): LogLine[] {
    return this.#lines.slice(this.#next).concat(this.#lines.slice(0, this.#next));
  }

  /** The text of the last lines written at or after `since` (epoch ms). */
  tail(count: number, since: number): string[] {
    return this.lines()
      .filter((line) => line.at >= since)
      .slice(-count)
      .map((line) => line.text);
  }
}
