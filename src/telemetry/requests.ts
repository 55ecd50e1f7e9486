import type { SupervisorError } from "../errors.ts";
import type { Logger } from "./logger.ts";
import { writeLine } from "./logger.ts";
import type { EndedCall, Metrics } from "./metrics.ts";
import type { Scrubber } from "./scrubber.ts";
import type { Journal } from "./journal.ts";
import { bounded, fits } from "./bounded.ts";
import { NOTHING_KNOWN } from "./request-record.ts";
import type { RequestRecord } from "./request-record.ts";

const MAX_PATH = 200;
const MAX_AGENT = 160;
const MAX_TOOL = 80;

/**
 * Requests that nobody has proved to send may be any number. So many of them a second are told, and
 * the rest counted: the log of a service under attack must not be the attack.
 */
const UNPROVEN_PER_SECOND = 20;
const UNPROVEN_BURST = 200;
const TELL_EVERY_MS = 10_000;

export interface RequestsParts {
  scrubber: Scrubber;
  log: Logger;
  journal: Journal;
  metrics: Metrics;
}

/** Tells of every request of the gateway when it has ended: a line in the log, an entry in the journal, a count. */
export class Requests {
  readonly #log: Logger;
  readonly #journal: Journal;
  readonly #metrics: Metrics;
  readonly #scrubber: Scrubber;
  #allowance = UNPROVEN_BURST;
  #allowedAt = performance.now();
  #untold = 0;
  #toldAt = 0;

  constructor({ log, journal, metrics, scrubber }: RequestsParts) {
    this.#scrubber = scrubber;
    this.#log = log;
    this.#metrics = metrics;
    this.#journal = journal;
  }

  /** What is known of the request is filled in until it has ended. */
  began(record: RequestRecord): void {
    this.#metrics.began();
    this.#journal.began(record);
  }

  /** A call of a tool has ended. */
  called(call: EndedCall): void {
    const { user, server, tool, outcome } = call;
    this.#metrics.called(call);
    this.#journal.called(user, server, tool, outcome);
  }

  /** False where the request is one of too many that nobody has proved to send: its id was handed out, so it is remembered, and not logged. */
  ended(record: RequestRecord): boolean {
    this.#metrics.ended(record);
    this.#journal.add(record);
    if (record.user === null && record.failure !== null && !this.#mayTell()) return false;
    const level = record.status >= 500 ? "warn" : "info";
    if (this.#log.isLevelEnabled(level))
      writeLine(this.#log, requestLine(this.#cut(record), level));
    return true;
  }

  /** As `ended`, for what is nobody's concern: counted, but in no log and no journal. */
  endedUntold(record: RequestRecord): void {
    this.#metrics.ended(record);
    this.#journal.forget(record);
  }

  /** The request ended well long ago, and what it was promised will not come. */
  failedLate(record: RequestRecord): void {
    this.#journal.add(record);
  }

  /** What came over a connection was not read as a request, or not wanted as one, and was refused. */
  refusedUnread(
    requestId: string,
    { code, message }: SupervisorError,
    known: Pick<RequestRecord, "status" | "remoteAddress" | "method" | "path" | "userAgent">,
  ): void {
    this.#metrics.began();
    const failure = { code, message, details: [] };
    this.ended({ ...NOTHING_KNOWN, ...known, requestId, at: Date.now(), failure });
  }

  /** The record with nothing in it that its line will cut: the half of a secret that a cut would leave is looked for before. */
  #cut(record: RequestRecord): RequestRecord {
    const { path, userAgent, tool } = record;
    if (fits(path, MAX_PATH) && fits(userAgent, MAX_AGENT) && fits(tool ?? "", MAX_TOOL))
      return record;
    const cut = (text: string, limit: number): string => {
      // Escapes take room too, so what is short may be cut all the same.
      if (text.length <= limit) return this.#scrubber.scrub(text);
      return `${this.#scrubber.scrubCut(text.slice(0, limit))}~`;
    };
    return {
      ...record,
      path: cut(path, MAX_PATH),
      userAgent: cut(userAgent, MAX_AGENT),
      tool: tool === null ? null : cut(tool, MAX_TOOL),
    };
  }

  #mayTell(): boolean {
    const now = performance.now();
    const earned = ((now - this.#allowedAt) / 1000) * UNPROVEN_PER_SECOND;
    this.#allowance = Math.min(UNPROVEN_BURST, this.#allowance + earned);
    this.#allowedAt = now;
    if (this.#allowance < 1) {
      this.#untold += 1;
      return false;
    }
    this.#allowance -= 1;
    if (this.#untold > 0 && now - this.#toldAt > TELL_EVERY_MS) {
      this.#log.warn(
        { untold: this.#untold },
        "refused requests were not logged one by one: there were too many",
      );
      this.#untold = 0;
      this.#toldAt = now;
    }
    return true;
  }
}

const processId = process.pid;

/** Built by hand: a library takes longer for the line than the gateway has for the request. */
function requestLine(record: RequestRecord, level: "info" | "warn"): string {
  const { failure } = record;
  return (
    `{"level":"${level}","timestamp":"${timestamp()}","pid":${processId}` +
    `,"requestId":"${record.requestId}"` +
    `,"request":"${bounded(record.method, 20)} ${bounded(record.path, MAX_PATH)}"` +
    `,"status_code":${record.status},"execution_time_ms":${record.durationMs.toFixed(2)}` +
    `,"remote_addr":"${bounded(record.remoteAddress, 60)}"` +
    `,"user_agent":"${agent(record.userAgent)}"` +
    named("user", record.user) +
    named("server", record.server) +
    `,"tool":${record.tool === null ? "null" : `"${bounded(record.tool, MAX_TOOL)}"`}` +
    (failure === null
      ? ""
      : `,"code":"${failure.code}","reason":"${bounded(failure.message, MAX_PATH)}"`) +
    `,"message":"request"}\n`
  );
}

/** Names of users and servers are slugs, so nothing in them needs to be escaped. */
function named(key: string, slug: string | null): string {
  return `,"${key}":${slug === null ? "null" : `"${slug}"`}`;
}

let lastTime = 0;
let lastTimestamp = "";

/** Of the requests that end within the same millisecond one pays for its text. */
function timestamp(): string {
  const now = Date.now();
  if (now === lastTime) return lastTimestamp;
  lastTime = now;
  lastTimestamp = new Date(now).toISOString();
  return lastTimestamp;
}

let lastAgent = "";
let lastEscaped = "";

/** Nearly every request comes from the same program as the one before it. */
function agent(text: string): string {
  if (text === lastAgent) return lastEscaped;
  const escaped = bounded(text, MAX_AGENT);
  // What was cut is not worth keeping 16 KiB for.
  if (text.length > MAX_AGENT) return escaped;
  lastAgent = text;
  lastEscaped = escaped;
  return escaped;
}
