import { randomBytes } from "node:crypto";
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { writeSync } from "node:fs";
import path from "node:path";
import { putInPlace } from "../../platform/atomic-file.ts";
import { SupervisorError, shortageOf } from "../../errors.ts";

const FILE = "children.journal";
// The journal grows by a line for each start and each end; this many are written before it is made short.
const MAX_IDLE_LINES = 1000;

/** A process by the two numbers that no other process of this boot has. */
export interface ProcessName {
  pid: number;
  startTicks: number;
}

/** What an earlier life of the daemon on this data folder left in writing. */
export interface EarlierLives {
  /** What the marks of its children start with. */
  markerPrefix: string;
  /** The children it did not see the end of. Empty when the machine was started anew since. */
  children: ProcessName[];
}

const bootId = (): string => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
const keyOf = ({ pid, startTicks }: ProcessName): string => `${pid} ${startTicks}`;

/**
 * The children that live, in a file of the data folder, so that the next start knows them also when
 * their environment cannot be read or was changed. Not synced: what a power cut takes from the
 * journal it has taken from the process table too.
 */
export class ChildJournal {
  readonly #file: string;
  readonly #header: string;
  readonly #living = new Map<string, ProcessName>();
  readonly earlier: EarlierLives;
  readonly #life: string;
  #marks = 0;
  #fd: number | undefined;
  #idleLines = 0;

  /** Reads what is there and changes nothing: an earlier life's children are known until `begin`. */
  constructor(dataDir: string) {
    this.#file = path.join(dataDir, FILE);
    // A copy of the folder has the same journal, and the children in it are not the copy's.
    const { dev, ino } = statSync(dataDir);
    const place = `${bootId()} ${dev}:${ino}`;
    const found = parse(readIfThere(this.#file));
    const folder = found?.place === place ? found.folder : randomBytes(8).toString("hex");
    this.#life = `${folder}:${randomBytes(4).toString("hex")}`;
    this.#header = `${folder} ${place}\n`;
    this.earlier = {
      markerPrefix: `${folder}:`,
      children: found?.place === place ? found.children : [],
    };
  }

  /**
   * Opens the journal of this life and forgets the earlier ones but for the processes that are `left`
   * of them, which the next start tries again. DISK_FULL, RESOURCES_EXHAUSTED or INTERNAL when it cannot be written.
   */
  begin(left: readonly ProcessName[]): void {
    for (const child of left) this.#living.set(keyOf(child), child);
    this.#rewrite();
  }

  /** A mark that no other child of this folder has, `<folder>:<life>:<number>`. */
  nextMark(): string {
    return `${this.#life}:${++this.#marks}`;
  }

  /** Rejects a child that cannot be written down: DISK_FULL, RESOURCES_EXHAUSTED or INTERNAL. */
  add(child: ProcessName): void {
    this.#append(`+${keyOf(child)}\n`);
    this.#living.set(keyOf(child), child);
  }

  /** The child and all it started are gone. */
  remove(child: ProcessName): void {
    if (!this.#living.delete(keyOf(child))) return;
    this.#idleLines += 2;
    try {
      if (this.#idleLines > MAX_IDLE_LINES) this.#rewrite();
      else this.#append(`-${keyOf(child)}\n`);
    } catch {
      // A child too many in the journal costs one look at the next start, where it is not found.
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #append(line: string): void {
    if (this.#fd === undefined) return;
    guarded(() => writeSync(this.#fd!, line));
  }

  #rewrite(): void {
    const lines = [...this.#living.keys()].map((key) => `+${key}\n`);
    guarded(() => {
      // Renamed into place, so that there is never half a journal.
      const text = this.#header + lines.join("");
      putInPlace(this.#file, (draft) => writeFileSync(draft, text, { mode: 0o600 }));
      this.close();
      this.#fd = openSync(this.#file, "a");
    });
    this.#idleLines = 0;
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}

/** Undefined for what is no journal. A last line that was cut short by a kill names no child. */
function parse(text: string) {
  const [header = "", ...lines] = text.split("\n");
  const [, folder, place] = /^([0-9a-f]{16}) (\S+ \S+)$/.exec(header) ?? [];
  if (folder === undefined || place === undefined) return undefined;
  const children = new Map<string, ProcessName>();
  for (const line of lines.slice(0, -1)) {
    const [, sign, pid, startTicks] = /^([+-])(\d+) (\d+)$/.exec(line) ?? [];
    if (sign === "+")
      children.set(line.slice(1), { pid: Number(pid), startTicks: Number(startTicks) });
    else if (sign === "-") children.delete(line.slice(1));
  }
  return { folder, place, children: [...children.values()] };
}

function guarded(work: () => void): void {
  try {
    work();
  } catch (cause) {
    const failure = new SupervisorError("INTERNAL", "the journal of the children is not writable", {
      cause,
    });
    throw shortageOf(cause, "could not be written down") ?? failure;
  }
}
