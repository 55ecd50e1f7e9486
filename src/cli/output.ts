import type { Command } from "commander";

export interface Globals {
  config: string | undefined;
  json: boolean;
}

/** The options that every command takes. */
export function globalsOf(command: Command): Globals {
  const options = command.optsWithGlobals<{ config?: string; json?: boolean }>();
  return { config: options.config, json: options.json ?? false };
}

/** Writes what a command answers to stdout: one JSON document with `--json`, else the lines for people. */
export function answer(command: Command, document: object, lines: readonly string[]): void {
  process.stdout.write(
    globalsOf(command).json ? `${JSON.stringify(document)}\n` : `${lines.join("\n")}\n`,
  );
}

const CONTROL_CHARACTERS = /(?!\t)\p{Cc}/gu;

/** Text of a child, made safe for a terminal: a child must not move the admin's cursor or retitle the window. */
export function printable(text: string): string {
  return text.replace(
    CONTROL_CHARACTERS,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Rows under a header line, columns padded with two spaces between. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const shown = [header, ...rows.map((row) => row.map(printable))];
  const widths = header.map((_, column) =>
    Math.max(...shown.map((row) => (row[column] ?? "").length)),
  );
  return shown.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** An instant for people, in UTC, to the minute. */
export function instant(epochMs: number | null): string {
  return epochMs === null
    ? "never"
    : `${new Date(epochMs).toISOString().slice(0, 16).replace("T", " ")}Z`;
}

const UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
];

/** A length of time for people: its largest whole unit. */
export function span(seconds: number): string {
  const unit = UNITS.find(([, size]) => seconds >= size);
  return unit === undefined
    ? `${Math.floor(seconds)}s`
    : `${Math.floor(seconds / unit[1])}${unit[0]}`;
}

/** A size for people, in MiB. */
export function mebibytes(bytes: number | null): string {
  return bytes === null ? "-" : `${(bytes / 1024 ** 2).toFixed(0)}M`;
}

export const orDash = (value: string | number | null): string =>
  value === null || value === "" ? "-" : String(value);
