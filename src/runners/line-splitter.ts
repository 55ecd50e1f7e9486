import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";
import type { Readable } from "node:stream";
import { counted } from "../errors.ts";

/** A longer line is cut here; the rest of it up to its end is not kept. */
export const MAX_LINE_BYTES = 8192;
/** What stands at the end of a line that was cut. */
export const CUT_MARK = " … (cut)";
/** Lines of one stream that are kept in one window; a child that writes more is noise. */
const MAX_LINES_PER_WINDOW = 2000;
const WINDOW_MS = 1000;
// A child that floods is read on, or it would block for ever, but a turn apart: reading as fast as it
// can write would take the daemon's whole core from the other users.
const FLOOD_PAUSE_MS = 5;
const NEWLINE = 10;

// A terminal that shows kept output must not obey it.
const CONTROL = /(?!\t)\p{Cc}/gu;
const clean = (line: string) => stripVTControlCharacters(line).replace(CONTROL, "");

/**
 * Hands the stream out line by line and keeps it flowing, whatever it holds: neither a line without
 * an end nor a flood grows memory. Lines beyond the bound are counted and the count is given as a line.
 */
export function splitLines(stream: Readable, onLine: (line: string) => void): void {
  let decoder = new StringDecoder("utf8");
  let line = "";
  let lineBytes = 0;
  let windowStart = 0;
  let linesInWindow = 0;
  let dropped = 0;

  const reportDropped = () => {
    if (dropped > 0) onLine(`… ${counted(dropped, "line")} dropped`);
    dropped = 0;
  };
  const finishLine = () => {
    line += decoder.end();
    if (linesInWindow < MAX_LINES_PER_WINDOW) {
      linesInWindow++;
      onLine(clean(line) + (lineBytes > MAX_LINE_BYTES ? CUT_MARK : ""));
    } else dropped++;
    line = "";
    lineBytes = 0;
    decoder = new StringDecoder("utf8");
  };
  const append = (piece: Buffer) => {
    const room = MAX_LINE_BYTES - lineBytes;
    if (room > 0) line += decoder.write(piece.subarray(0, room));
    lineBytes += piece.length;
  };

  stream.on("data", (chunk: Buffer) => {
    const now = performance.now();
    if (now - windowStart > WINDOW_MS) {
      windowStart = now;
      linesInWindow = 0;
      reportDropped();
    }
    let start = 0;
    for (let end: number; (end = chunk.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
      append(chunk.subarray(start, end));
      finishLine();
    }
    append(chunk.subarray(start));
    if (linesInWindow >= MAX_LINES_PER_WINDOW || lineBytes > MAX_LINE_BYTES) {
      stream.pause();
      setTimeout(() => stream.resume(), FLOOD_PAUSE_MS);
    }
  });
  stream.on("close", () => {
    if (lineBytes > 0) finishLine();
    reportDropped();
  });
  // A broken pipe is the end of the output, and the child's end is told by the process.
  stream.on("error", () => {});
}
