// Says how far a run of tests is, and what failed; the events are those of node:test's `run`.
import { readFileSync } from "node:fs";
import { basename, dirname, relative } from "node:path";
import { inspect } from "node:util";

const TICKS_A_SECOND = 100;

/** `1:07`, or `0.3 s` for what is short. */
export function duration(ms) {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** What this process and those that it, or they, have waited for have used of the processor. */
function cpuMs() {
  const stat = readFileSync("/proc/self/stat", "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return (ticks / TICKS_A_SECOND) * 1000;
}

function describe({ name, file, line, details }) {
  const { exitCode, signal } = details.error;
  const isFile = exitCode !== undefined;
  const error = isFile ? { exitCode, signal } : (details.error.cause ?? details.error);
  return `✖ ${name}\n  ${relative("", file ?? "")}:${line}\n${inspect(error).replace(/^/gm, "  ")}\n`;
}

export class Progress {
  #startedAt = performance.now();
  #files;
  #done = 0;
  #passed = 0;
  #skipped = 0;
  #failures = [];
  #say;

  /** `files` by their whole paths. */
  constructor(files, say = (text) => process.stdout.write(text)) {
    this.#files = new Set(files);
    this.#say = say;
  }

  get hasFailed() {
    return this.#failures.length > 0;
  }

  take({ type, data }) {
    if (type === "test:stdout" || type === "test:stderr") this.#say(data.message);
    // Told at once; all other events wait until those of earlier files are told.
    if (type === "test:complete") this.#complete(data);
    if (type === "test:summary" && data.file === undefined) this.#finish();
  }

  #complete(data) {
    const { name, skip, details } = data;
    const isFile = this.#files.has(name);
    // What is around a test that failed has nothing to say of its own.
    if (!details.passed && details.error.failureType !== "subtestsFailed") this.#fail(data);
    else if (skip !== undefined) this.#skip(name, skip);
    else if (!isFile && details.passed) this.#passed += 1;
    if (isFile) this.#tellDone(name, details);
  }

  #fail(data) {
    const failure = describe(data);
    this.#failures.push(failure);
    this.#say(failure);
  }

  #skip(name, why) {
    this.#skipped += 1;
    this.#say(`  skipped: ${name}${typeof why === "string" ? ` (${why})` : ""}\n`);
  }

  #tellDone(file, { duration_ms, passed }) {
    this.#done += 1;
    const time = duration(performance.now() - this.#startedAt);
    const isShare = basename(dirname(file)) === "unit";
    const what = isShare ? `unit tests, part ${basename(file, ".mjs")}` : relative("", file);
    const how = passed ? "" : " FAILED,";
    this.#say(
      `${this.#done} of ${this.#files.size} (${time})  ${what}:${how} ${duration(duration_ms)}\n`,
    );
  }

  #finish() {
    const time = duration(performance.now() - this.#startedAt);
    if (this.#failures.length > 1) this.#say(`\nWhat failed:\n${this.#failures.join("")}`);
    this.#say(
      `${this.#passed} tests passed, ${this.#failures.length} failed, ${this.#skipped} were skipped, in ${time}; ${duration(cpuMs())} of processor time\n`,
    );
  }
}
