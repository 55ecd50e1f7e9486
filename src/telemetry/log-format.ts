import { fstatSync } from "node:fs";
import { isatty } from "node:tty";

/** `auto`: text for a terminal, JSON for whatever else reads the log. */
export type LogFormat = "auto" | "json" | "text";

/** What takes the lines. The journal knows a line's priority by the number before it; nothing else does. */
export type LogReader = "terminal" | "journal" | "other";

/** As `journalctl -p` has them. */
const PRIORITIES: Record<string, number> = {
  fatal: 2,
  error: 3,
  warn: 4,
  info: 6,
  debug: 7,
  trace: 7,
};
const USUAL = PRIORITIES["info"]!;
/** Every line of ours begins with it. */
const LEVEL = /^\{"level":"(\w+)"/;

/** Who reads this descriptor. systemd tells a service by device and inode where its journal is; what was redirected is another. */
export function readerOf(fd: number, env: NodeJS.ProcessEnv): LogReader {
  if (isatty(fd)) return "terminal";
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return env["JOURNAL_STREAM"] === `${dev}:${ino}` ? "journal" : "other";
  } catch {
    return "other";
  }
}

/** Lines of JSON as this reader is to have them. */
export function shaped(lines: string, format: LogFormat, reader: LogReader): string {
  const isText = format === "text" || (format === "auto" && reader === "terminal");
  if (!isText && reader !== "journal") return lines;
  return lines.replace(/[^\n]+/g, (line) => {
    const text = isText ? textOf(line) : line;
    return reader === "journal" ? withPriority(text, LEVEL.exec(line)?.[1]) : text;
  });
}

/** The journal makes an entry of each line, so each has the number. */
function withPriority(text: string, level = ""): string {
  const priority = PRIORITIES[level] ?? USUAL;
  return text.replace(/^/gm, `<${priority}>`);
}

/** A terminal has one process before it, so its id says nothing. */
const IN_HEAD: readonly string[] = ["level", "timestamp", "message", "pid"];

/** `2026-11-29 15:57:27Z warn  the message  key=value`, with a stack on lines of its own; what is no JSON stays. */
function textOf(line: string): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const { level, timestamp, message, err } = entry;
  const { message: why, stack } = (err ?? {}) as { message?: unknown; stack?: unknown };
  const pairs = Object.entries({ ...entry, err: why }).flatMap(([key, value]) =>
    IN_HEAD.includes(key) || value === undefined || value === null
      ? []
      : [`${key}=${valueText(value)}`],
  );
  const at = String(timestamp)
    .replace("T", " ")
    .replace(/\.\d+Z$/, "Z");
  const head = [`${at} ${String(level).padEnd(5)} ${String(message)}`, ...pairs].join("  ");
  const below = typeof stack === "string" ? stack.split("\n").slice(1) : [];
  return [head, ...below.map((frame) => `  ${frame}`)].map(onOneLine).join("\n");
}

/** As it is where that is one word, else as JSON has it. */
function valueText(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(value);
}

/** What JSON had escaped must not steer the terminal that reads the text. */
const onOneLine = (text: string): string =>
  text.replace(
    /\p{Cc}|[\u2028-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
