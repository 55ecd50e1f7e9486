import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";
import type { Readable } from "node:stream";
import { counted } from "../../errors.ts";
import { LineIntake } from "../../platform/line-intake.ts";
import type { LineSink } from "../../platform/line-intake.ts";
import { OutputShare } from "../../platform/output-share.ts";

/** A longer line is cut here; the rest of it up to its end is not kept. */
export const MAX_LINE_BYTES = 8192;
/** What stands at the end of a line that was cut. */
export const CUT_MARK = " … (cut)";
/** Lines of one stream that are kept in one window; a child that writes more is noise. */
const MAX_LINES_PER_WINDOW = 2000;
const WINDOW_MS = 1000;

// A terminal that shows kept output must not obey it.
const CONTROL = /(?!\t)\p{Cc}/gu;
const clean = (line: string) => stripVTControlCharacters(line).replace(CONTROL, "");

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

class LogLines implements LineSink {
  readonly broke: LineSink["broke"];
  readonly #onLine: (line: string) => void;
  readonly #window: LineWindow;
  readonly #decoder = new StringDecoder("utf8");
  #text = "";
  #bytes = 0;

  constructor(onLine: (line: string) => void, broke: LineSink["broke"]) {
    this.#onLine = onLine;
    this.#window = new LineWindow(onLine);
    this.broke = broke;
  }

  piece(bytes: Buffer): void {
    const room = MAX_LINE_BYTES - this.#bytes;
    if (room > 0) this.#text += this.#decoder.write(bytes.subarray(0, room));
    this.#bytes += bytes.length;
  }

  end(): void {
    const text = this.#text + this.#decoder.end();
    const mark = this.#bytes > MAX_LINE_BYTES ? CUT_MARK : "";
    this.#text = "";
    this.#bytes = 0;
    if (this.#window.admits()) this.#onLine(clean(text) + mark);
  }

  close(): void {
    if (this.#bytes > 0) this.end();
    this.#window.report();
  }
}

/**
 * Hands the stream out line by line and keeps it flowing, whatever it holds: neither a line without
 * an end nor a flood grows memory, or takes more of the event loop than the child's share. `broke` is
 * told when something of ours threw over a line, after which nothing more is read.
 */
export function splitLines(
  stream: Readable,
  onLine: (line: string) => void,
  share = new OutputShare(),
  broke: LineSink["broke"] = () => {},
): void {
  const lines = new LogLines(onLine, broke);
  // oxlint-disable-next-line no-new -- it reads for as long as the stream lasts
  new LineIntake(stream, lines, share);
  stream.on("close", () => lines.close());
  // A broken pipe is the end of the output, and the child's end is told by the process.
  stream.on("error", () => {});
}
