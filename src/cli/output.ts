import type { Command } from "commander";
import { inertJson } from "../errors.ts";

export interface Globals {
  config: string | undefined;
  json: boolean;
}

/** The options that every command takes. */
export function globalsOf(command: Command): Globals {
  const options = command.optsWithGlobals<{ config?: string; json?: boolean }>();
  return { config: options.config, json: options.json ?? false };
}

/** A document as `--json` shows it, on one line. */
export const jsonLine = (document: object): string => `${inertJson(JSON.stringify(document))}\n`;

/** Writes what a command answers to stdout: one JSON document with `--json`, else the lines for people. */
export function answer(command: Command, document: object, lines: readonly string[]): void {
  // Snippets have lines of their own; any other line break of a stranger's was written out before.
  const text = (): string => lines.join("\n").split("\n").map(printable).join("\n");
  process.stdout.write(globalsOf(command).json ? jsonLine(document) : `${text()}\n`);
}

/** Controls, and what turns the direction of the text behind it round. */
const STEERING = /(?!\t)\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu;

/**
 * Text of a child or client, made safe for a terminal: neither must move the admin's cursor, retitle
 * the window or have a line read other than it was written.
 */
export function printable(text: string): string {
  return text.replace(STEERING, (character) => {
    const hex = character.charCodeAt(0).toString(16);
    return hex.length > 2 ? `\\u${hex}` : `\\x${hex.padStart(2, "0")}`;
  });
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

/** `pid 12, port 8000`: what there is of these, in a sentence, where a table has a dash. */
export const known = (values: Readonly<Record<string, string | number | null>>): string =>
  Object.entries(values)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

export const orDash = (value: string | number | null): string =>
  value === null || value === "" ? "-" : String(value);
