import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";
import type { Readable } from "node:stream";
import { LineIntake } from "../../platform/line-intake.ts";
import type { LineIntakeOptions, LineSink } from "../../platform/line-intake.ts";
import { CUT_MARK, LineWindow } from "../../platform/line-window.ts";
import { OutputShare } from "../../platform/output-share.ts";

/** A longer line is cut here; the rest of it up to its end is not kept. */
export const MAX_LINE_BYTES = 8192;

// A terminal that shows kept output must not obey it.
const CONTROL = /(?!\t)\p{Cc}/gu;
const clean = (line: string) => stripVTControlCharacters(line).replace(CONTROL, "");

class LogLines implements LineSink {
  readonly #onLine: (line: string) => void;
  readonly #window: LineWindow;
  readonly #decoder = new StringDecoder("utf8");
  #text = "";
  #bytes = 0;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
    this.#window = new LineWindow(onLine);
  }

  push(bytes: Buffer): void {
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
 * an end nor a flood grows memory, or takes more of the event loop than the child's share. `onBroken` is
 * told when something of ours threw over a line, after which nothing more is read.
 */
export function splitLines(
  stream: Readable,
  onLine: (line: string) => void,
  share = new OutputShare(),
  onBroken: LineIntakeOptions["onBroken"] = () => {},
): void {
  const lines = new LogLines(onLine);
  // oxlint-disable-next-line no-new -- it reads for as long as the stream lasts
  new LineIntake({ stream, sink: lines, share, onBroken });
  stream.on("close", () => lines.close());
  // A broken pipe is the end of the output, and the child's end is told by the process.
  stream.on("error", () => {});
}
