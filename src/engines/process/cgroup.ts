import { mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { sendSignal } from "./signal.ts";
import type { Limits } from "./limits.ts";

/** The period of cpu.max in µs, the kernel's own default. */
const CPU_PERIOD = 100_000;
const PREFIX = "child-";

export const CONTROLLERS = ["memory", "pids", "cpu"] as const;
export type Controller = (typeof CONTROLLERS)[number];

/** What a group used of the CPU since it was made. */
export interface CpuUse {
  usedMs: number;
  /** Periods in which it ran; 0 for ever where it has no limit. */
  periods: number;
  /** Those of them in which it was held back at its limit. */
  throttled: number;
}

/** The group of one child and all it starts. A process leaves it by no means of its own. */
export class Cgroup {
  readonly dir: string;
  readonly #controllers: ReadonlySet<Controller>;

  constructor(dir: string, controllers: ReadonlySet<Controller>) {
    this.dir = dir;
    this.#controllers = controllers;
  }

  /** Whether the kernel keeps this kind of limit for the group. */
  has(controller: Controller): boolean {
    return this.#controllers.has(controller);
  }

  /** Whether a process of it lives; a zombie does not. */
  isPopulated(): boolean {
    return eventsOf(this.dir, "cgroup.events").get("populated") !== 0;
  }

  /** The processes in it and in the groups below it that a child made. */
  pids(): number[] {
    return [this.dir, ...foldersBelow(this.dir)].flatMap((dir) =>
      read(dir, "cgroup.procs").split("\n").filter(Boolean).map(Number),
    );
  }

  /** SIGKILL to all of them at once, so that none can fork meanwhile. */
  kill(): void {
    try {
      writeFileSync(path.join(this.dir, "cgroup.kill"), "1");
    } catch {
      // A kernel before 5.14, or the group is gone.
      this.#killFrozen();
    }
  }

  /** What is frozen forks no more, and dies all the same. */
  #killFrozen(): void {
    try {
      writeFileSync(path.join(this.dir, "cgroup.freeze"), "1");
    } catch {
      // A kernel before 5.2, or the group is gone: whoever waits for its end looks again and again.
    }
    for (const pid of this.pids()) sendSignal(pid, "SIGKILL");
  }

  /** Takes the empty group away; one that is not empty stays for the next start. */
  remove(): void {
    for (const dir of [...foldersBelow(this.dir), this.dir]) {
      try {
        rmdirSync(dir);
      } catch {
        // Gone already, or a process came into it: the next start kills that.
      }
    }
  }

  /** Bytes in use by the group, page cache included; null where the kernel does not count them for us. */
  memoryBytes(): number | null {
    return this.#controllers.has("memory") ? number(read(this.dir, "memory.current")) : null;
  }

  /** The most it ever used. */
  peakBytes(): number | null {
    return this.#controllers.has("memory") ? number(read(this.dir, "memory.peak")) : null;
  }

  /** The kernel killed a process of it because the group was at its limit of memory. */
  isOverMemory(): boolean {
    const events = eventsOf(this.dir, "memory.events");
    return (events.get("oom_kill") ?? 0) > 0;
  }

  /** The kernel counts it with and without the controller. */
  cpuUse(): CpuUse {
    const stat = eventsOf(this.dir, "cpu.stat");
    return {
      usedMs: (stat.get("usage_usec") ?? 0) / 1000,
      periods: stat.get("nr_periods") ?? 0,
      throttled: stat.get("nr_throttled") ?? 0,
    };
  }

  /** How often a fork was refused because the group was at its limit of processes. */
  refusedForks(): number {
    return eventsOf(this.dir, "pids.events").get("max") ?? 0;
  }
}

/** The part of the cgroup tree that is the daemon's to divide, with the controllers it may use there. */
export class CgroupRoot {
  readonly dir: string;
  readonly controllers: ReadonlySet<Controller>;
  #last = 0;

  constructor(dir: string, controllers: ReadonlySet<Controller>) {
    this.dir = dir;
    this.controllers = controllers;
  }

  /**
   * A new, empty group within these limits as far as there are controllers for them.
   * Throws the system's error, and has then made nothing.
   */
  make(limits: Limits): Cgroup {
    const dir = this.#makeFolder();
    const group = new Cgroup(dir, this.controllers);
    try {
      if (this.controllers.has("memory")) {
        if (limits.memoryBytes !== undefined) {
          write(dir, "memory.max", String(limits.memoryBytes));
          // Without swap accounting there is no such file.
          writeIfThere(dir, "memory.swap.max", "0");
        }
        // A server that lost one of its processes would go on half alive.
        write(dir, "memory.oom.group", "1");
      }
      if (this.controllers.has("pids") && limits.pids !== undefined)
        write(dir, "pids.max", String(limits.pids));
      if (this.controllers.has("cpu") && limits.cpu !== undefined)
        write(
          dir,
          "cpu.max",
          `${Math.max(1000, Math.round(limits.cpu * CPU_PERIOD))} ${CPU_PERIOD}`,
        );
    } catch (error) {
      group.remove();
      throw error;
    }
    return group;
  }

  /** The groups that an earlier life of the daemon made here. */
  leftOver(): Cgroup[] {
    return folders(this.dir)
      .filter((name) => name.startsWith(PREFIX))
      .map((name) => new Cgroup(path.join(this.dir, name), this.controllers));
  }

  #makeFolder(): string {
    for (;;) {
      const dir = path.join(this.dir, `${PREFIX}${++this.#last}`);
      try {
        mkdirSync(dir);
        return dir;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
    }
  }
}

/** Runs a program in the group from its first instruction on: the shell goes in, and becomes the program. */
export function joining({ dir }: Cgroup, argv: readonly string[]): [string, ...string[]] {
  const script = 'echo "$$" > "$1" || exit 125\nshift\nexec "$@"';
  return ["/bin/sh", "-c", script, "sh", path.join(dir, "cgroup.procs"), ...argv];
}

function read(dir: string, file: string): string {
  try {
    return readFileSync(path.join(dir, file), "latin1");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // The group is gone (ENODEV: while it was read), or has no such controller.
    if (code === "ENOENT" || code === "ENODEV") return "";
    throw error;
  }
}

function eventsOf(dir: string, file: string): Map<string, number> {
  const pairs = read(dir, file)
    .split("\n")
    .map((line) => line.split(" "));
  // A group that is gone has nobody in it.
  const none: [string, number][] = pairs.length > 1 ? [] : [["populated", 0]];
  return new Map([...none, ...pairs.map(([name, value]) => [name!, Number(value)] as const)]);
}

const number = (text: string): number | null => (/^\d+/.test(text) ? Number.parseInt(text) : null);

function write(dir: string, file: string, value: string): void {
  writeFileSync(path.join(dir, file), value);
}

function writeIfThere(dir: string, file: string, value: string): void {
  try {
    write(dir, file, value);
  } catch (error) {
    // Not made: a file cannot be made in this file system, which says EACCES to root and ENOENT to others.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "EACCES" && code !== "EPERM") throw error;
  }
}

function folders(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Deepest first, as they must be removed. */
function foldersBelow(dir: string): string[] {
  return folders(dir).flatMap((name) => {
    const below = path.join(dir, name);
    return [...foldersBelow(below), below];
  });
}
