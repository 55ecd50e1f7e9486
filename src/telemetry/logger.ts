/** Room: telemetry. What the daemon says about itself: one JSON object a line on stderr, or text for a terminal, what became of requests, counters. Never sees a request body or a query string; live secrets are removed from all it says. */
import { pino } from "pino";
import type { DestinationStream, Logger as PinoLogger } from "pino";
import { inertJson } from "../errors.ts";
import { readerOf, shaped } from "./log-format.ts";
import type { LogFormat } from "./log-format.ts";
import { openLogSink } from "./log-sink.ts";
import type { LogSink } from "./log-sink.ts";
import { Scrubber } from "./scrubber.ts";

export type Logger = PinoLogger;

export type LogLevel = "fatal" | "error" | "warn" | "info" | "debug" | "trace" | "silent";

const STDERR = 2;

/** Where the lines of a logger go, and how they look there. */
interface Output {
  format: LogFormat;
  readonly sink: DestinationStream & Partial<Pick<LogSink, "dropped">>;
}

const outputs = new WeakMap<Logger, Output>();

export interface LoggerOptions {
  scrubber?: Scrubber;
  /** JSON unless told otherwise. */
  format?: LogFormat;
  /** For tests; each line comes whole and scrubbed. */
  destination?: DestinationStream;
}

/** A logger that writes to stderr, so that stdout stays free for what a command answers. */
export function createLogger(
  level: LogLevel,
  { scrubber = new Scrubber(), format = "json", destination }: LoggerOptions = {},
): Logger {
  // An admin reads it in a terminal, too.
  const scrub = (text: string): string => inertJson(scrubber.scrub(text));
  const reader = readerOf(STDERR, process.env);
  const shape = (text: string): string => shaped(scrub(text), output.format, reader);
  const output: Output = {
    format,
    sink:
      destination === undefined
        ? openLogSink(STDERR, shape)
        : { write: (line: string) => destination.write(scrub(line)) },
  };
  const log = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      messageKey: "message",
      formatters: { level: (label) => ({ level: label }) },
    },
    output.sink,
  );
  outputs.set(log, output);
  return log;
}

/** From the next lines on the log is as the config has it. */
export function adjustLog(log: Logger, to: { level: LogLevel; format: LogFormat }): void {
  log.level = to.level;
  const output = outputs.get(log);
  if (output !== undefined) output.format = to.format;
}

/** How many lines nobody took. */
export function droppedLines(log: Logger): number {
  return outputs.get(log)?.sink.dropped ?? 0;
}

/** Writes a line that is JSON already, for what is logged too often to be built by the library. */
export function writeLine(log: Logger, line: string): void {
  outputs.get(log)?.sink.write(line);
}
