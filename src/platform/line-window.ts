import { counted } from "../errors.ts";

/** What stands at the end of a line that was cut. */
export const CUT_MARK = " … (cut)";
/** Lines of one stream that are kept in one window; a child that writes more is noise. */
const MAX_LINES_PER_WINDOW = 2000;
const WINDOW_MS = 1000;

/** Keeps the lines of a log to a number that somebody can read: those beyond it are counted, and the count is given as a line. */
export class LineWindow {
  readonly #onLine: (line: string) => void;
  readonly #most: number;
  #since = 0;
  #lines = 0;
  #dropped = 0;

  constructor(onLine: (line: string) => void, most = MAX_LINES_PER_WINDOW) {
    this.#onLine = onLine;
    this.#most = most;
  }

  /** Whether there is room for a line now; one that finds none is counted. */
  admits(): boolean {
    const now = performance.now();
    if (now - this.#since > WINDOW_MS) {
      this.#since = now;
      this.#lines = 0;
      this.report();
    }
    if (this.#lines >= this.#most) this.#dropped += 1;
    else this.#lines += 1;
    return this.#dropped === 0;
  }

  /** Says how many lines found no room since the last time, where any did. */
  report(): void {
    if (this.#dropped > 0) this.#onLine(`… ${counted(this.#dropped, "line")} dropped`);
    this.#dropped = 0;
  }
}
