import { BACKSLASH, QUOTE } from "./bytes.ts";

/** So far a string is followed byte by byte; most end there, and a search costs as much as that. */
const NEAR_BYTES = 32;
/** Where a search has met an escaped quote there may be many. */
const MOST_NEAR_BYTES = 1024;

/**
 * Where in bytes [from, to) the quote stands that ends the JSON string which they are in, `to` where it
 * goes on. `isEscaped`: a backslash was the last byte before them.
 */
export function endOfString(bytes: Buffer, from: number, to: number, isEscaped = false): number {
  let at = isEscaped ? from + 1 : from;
  for (let nearBytes = NEAR_BYTES; ; nearBytes = Math.min(nearBytes * 2, MOST_NEAR_BYTES)) {
    for (const near = at + nearBytes; at < near && at < to; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) return at;
      if (byte === BACKSLASH) at += 1;
    }
    if (at >= to) return to;
    const within = to === bytes.length ? bytes : bytes.subarray(0, to);
    const quote = within.indexOf(QUOTE, at);
    if (quote === -1) return to;
    if (!isEscapedAt(bytes, at, quote)) return quote;
    at = quote + 1;
  }
}

/** Whether bytes [from, at) of a string leave the one behind them escaped. */
export function isEscapedAt(bytes: Buffer, from: number, at: number, isEscaped = false): boolean {
  if (from === at) return isEscaped;
  const first = isEscaped ? from + 1 : from;
  let run = at;
  while (run > first && bytes[run - 1] === BACKSLASH) run -= 1;
  return (at - run) % 2 === 1;
}
