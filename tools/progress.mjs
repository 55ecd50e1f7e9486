// Says how far a run of tests is, and what failed; the events are those of node:test's `run`.
import { readFileSync } from "node:fs";
import { basename, relative } from "node:path";
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
  #failures = [];
  #say;

  constructor(files, say = (text) => process.stdout.write(text)) {
    this.#files = files;
    this.#say = say;
  }

  get hasFailed() {
    return this.#failures.length > 0;
  }

  take({ type, data }) {
    if (type === "test:stdout" || type === "test:stderr") this.#say(data.message);
    if (type === "test:fail") this.#fail(data);
    if (type === "test:pass" && data.skip !== undefined) this.#tellSkipped(data);
    if (type === "test:summary") this.#sum(data);
  }

  #fail(data) {
    // A test around one that failed has nothing to say of its own.
    if (data.details.error.failureType === "subtestsFailed") return;
    const failure = describe(data);
    // A file that did not come to its end has no summary.
    if (data.details.error.exitCode !== undefined) this.#done += 1;
    this.#failures.push(failure);
    this.#say(failure);
  }

  #tellSkipped({ name, skip }) {
    this.#say(`  skipped: ${name}${typeof skip === "string" ? ` (${skip})` : ""}\n`);
  }

  #sum({ file, counts, duration_ms }) {
    const time = duration(performance.now() - this.#startedAt);
    if (file === undefined) {
      const again = this.#failures.length > 1 ? `\nWhat failed:\n${this.#failures.join("")}` : "";
      this.#say(
        `${again}${counts.passed} tests passed, ${this.#failures.length} failed, ${counts.skipped} were skipped, in ${time}; ${duration(cpuMs())} of processor time\n`,
      );
      return;
    }
    this.#done += 1;
    const what = basename(file) === "unit.mjs" ? "all unit tests" : relative("", file);
    this.#say(
      `${this.#done} of ${this.#files} (${time})  ${what}: ${counts.tests} tests, ${duration(duration_ms)}\n`,
    );
  }
}
