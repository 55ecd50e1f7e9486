import type { Command } from "commander";
import { inertJson } from "../errors.ts";
import { shown, viewHere } from "./view.ts";
import type { Line } from "./view.ts";

export interface Globals {
  config: string | undefined;
  json: boolean;
}

/** The options that every command takes. */
export function globalsOf(command: Command): Globals {
  const options = command.optsWithGlobals<{ config?: string; json?: boolean }>();
  return { config: options.config, json: options.json ?? false };
}

/** Whether somebody is there to answer: there is a terminal, and no program reads along. */
export const canAsk = (command: Command): boolean =>
  process.stdin.isTTY && process.stderr.isTTY && !globalsOf(command).json;

/** A document as `--json` shows it, on one line. */
export const jsonLine = (document: object): string => `${inertJson(JSON.stringify(document))}\n`;

/** Writes what a command answers to stdout: one JSON document with `--json`, else the lines for people. */
export function answer(command: Command, document: object, lines: readonly Line[]): void {
  process.stdout.write(globalsOf(command).json ? jsonLine(document) : shown(lines, viewHere()));
}

/** An instant for people, in UTC, to the minute. */
export function instant(epochMs: number | null): string {
  return epochMs === null
    ? "never"
    : `${new Date(epochMs).toISOString().slice(0, 16).replace("T", " ")}Z`;
}

/** What is said of a pod that was ended and may live, where there is one. */
export const unreachedLines = (mayLiveUntil: number | null): string[] =>
  mayLiveUntil === null
    ? []
    : [
        `A pod of it cannot be reached, and may go on until ${second(mayLiveUntil)}; it ends by itself then.`,
      ];

/** As `instant`, to the second. */
export const second = (epochMs: number): string =>
  `${new Date(epochMs).toISOString().slice(0, 19).replace("T", " ")}Z`;

/** `pid 12, port 8000`: what there is of these, in a sentence, where a table has a dash. */
export const known = (values: Readonly<Record<string, string | number | null>>): string =>
  Object.entries(values)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

export const orDash = (value: string | number | null): string =>
  value === null || value === "" ? "-" : String(value);
