import { setImmediate as nextTurn } from "node:timers/promises";
import { CpuMeter } from "./cpu-meter.ts";
import { heldBytes } from "./held-memory.ts";
import { glanceProcessTable } from "./process-table.ts";
import { Rest } from "./rest.ts";
import type { CpuLoad, LimitHit } from "../engine.ts";
import type { Cgroup } from "./cgroup.ts";
import type { Limits } from "./limits.ts";
import type { MemoryFiles } from "./memory-files.ts";
import type { ProcessEntry } from "./process-table.ts";

// Between two looks a process can take what it writes to in that time, some hundred MB at worst.
const LOOK_MS = 250;
/** Every so many looks the CPU is looked at too: long enough to tell what is used all the time. */
const LOOKS_A_CPU_LOOK = 8;
/** Few enough that other users' requests wait for a few ms at most. */
const SLICE = 16;
/** Processes that come and go while the table is read, and the namespace's own that it counts itself. */
const MARGIN = 3;

export interface Watched {
  limits: Limits;
  cgroup: Cgroup | undefined;
  /** The living processes of the child, as this table tells. */
  membersOf: (table: readonly ProcessEntry[]) => ProcessEntry[];
  files: MemoryFiles;
  /** Processes of the daemon's own in the tree, beyond the limit. */
  helpers: number;
  /** The system itself refuses a process too many, cgroup or not. */
  isCountedAlone: boolean;
  /** It is over a limit that nobody else keeps, and must be killed. */
  onOver: (hit: LimitHit) => void;
  /** It has reached a limit that the kernel keeps, and lives on. Once. */
  onStrain: (hit: LimitHit) => void;
}

/** What the watch knows of one child. */
export interface Watch {
  /** The most memory it was seen with, in bytes. */
  readonly peakBytes: number;
  /** Whether it uses all the CPU it may, and has for a while. */
  cpuLoad(): CpuLoad | null;
  /** Told each time that it begins to, and at once where it already does. */
  onBusy(tell: (load: CpuLoad) => void): void;
  end(): void;
}

/**
 * Looks at the children: kills nobody, tells who is over. Where the kernel keeps a
 * limit (a cgroup has the controller) it only asks what the kernel did; where it does not, it counts,
 * as often as it looks while the child does anything, and with the CPU while it rests.
 * One timer for all of them, and one look at the process table for all that need it.
 */
export class LimitWatch {
  readonly #children = new Set<Child>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #looks = 0;

  add(watched: Watched): Watch {
    const child = new Child(watched, () => {
      this.#children.delete(child);
      if (this.#children.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
    this.#children.add(child);
    this.#timer ??= setInterval(() => void this.#look(), LOOK_MS).unref();
    return child;
  }

  async #look(): Promise<void> {
    // On a machine that is too busy for the last look the next one is left out.
    if (this.#isLooking) return;
    this.#isLooking = true;
    const isCpuLook = this.#looks++ % LOOKS_A_CPU_LOOK === 0;
    try {
      const wanting = await this.#thoseThatWantTable(isCpuLook);
      const table = wanting.size === 0 ? [] : await glanceProcessTable();
      const at = performance.now();
      let looked = 0;
      for (const child of this.#children) {
        child.look(wanting.has(child) ? table : undefined, isCpuLook ? at : undefined);
        if (++looked % SLICE === 0) await nextTurn();
      }
    } catch {
      // No descriptor left for the moment: the next look comes soon.
    } finally {
      this.#isLooking = false;
    }
  }

  async #thoseThatWantTable(isCpuLook: boolean): Promise<ReadonlySet<Child>> {
    const wanting = new Set<Child>();
    let asked = 0;
    for (const child of this.#children) {
      if (child.wantsTable(isCpuLook)) wanting.add(child);
      if (++asked % SLICE === 0) await nextTurn();
    }
    return wanting;
  }
}

class Child implements Watch {
  peakBytes = 0;
  readonly end: () => void;
  readonly #watched: Watched;
  readonly #told = new Set<LimitHit["kind"]>();
  readonly #cpu: CpuMeter;
  readonly #rest = new Rest();

  constructor(watched: Watched, end: () => void) {
    this.#watched = watched;
    this.#cpu = new CpuMeter(watched.limits.cpu);
    this.end = end;
  }

  cpuLoad(): CpuLoad | null {
    return this.#cpu.load();
  }

  onBusy(tell: (load: CpuLoad) => void): void {
    this.#cpu.onBusy(tell);
  }

  wantsTable(isCpuLook: boolean): boolean {
    const { limits, cgroup } = this.#watched;
    if (isCpuLook && cgroup === undefined) return true;
    const isCounted = (limit: number | undefined, controller: "memory" | "pids") =>
      limit !== undefined && cgroup?.has(controller) !== true;
    if (!isCounted(limits.memoryBytes, "memory") && !isCounted(limits.pids, "pids")) return false;
    return isCpuLook || this.#rest.isOver();
  }

  /** `table` where it was wanted; `cpuAt`: when (`performance.now()`) it was read, if the CPU is to be looked at. */
  look(table: readonly ProcessEntry[] | undefined, cpuAt: number | undefined): void {
    const { limits, cgroup, membersOf, files, onOver } = this.#watched;
    const members = table === undefined ? undefined : membersOf(table);
    if (members !== undefined) this.#rest.begin(members);
    if (cpuAt !== undefined && cgroup === undefined) this.#cpu.countProcesses(members ?? [], cpuAt);
    if (cpuAt !== undefined && cgroup) this.#cpu.countGroup(cgroup.cpuUse(), performance.now());
    const { memoryBytes: bytes, pids: count } = limits;
    if (members !== undefined && bytes !== undefined && cgroup?.has("memory") !== true) {
      const held = heldBytes(members, bytes, files.of(members));
      // For the next time: this one is not to wait for it.
      void files.look();
      this.peakBytes = Math.max(this.peakBytes, held);
      if (held > bytes) this.#once({ kind: "memory", bytes }, onOver);
    }
    if (count !== undefined) this.#lookAtPids(count, members);
  }

  #lookAtPids(count: number, members: readonly ProcessEntry[] | undefined): void {
    const { cgroup, helpers, isCountedAlone, onOver, onStrain } = this.#watched;
    const hit = { kind: "pids", count } as const;
    if (cgroup?.has("pids") === true) {
      if (cgroup.refusedForks() > 0) this.#once(hit, onStrain);
      return;
    }
    if (members === undefined) return;
    const tasks = members.reduce((sum, { threads }) => sum + threads, -helpers);
    // A refusal leaves no trace; so close to the limit it is certain, or will be in a moment.
    if (isCountedAlone && tasks >= count - MARGIN) this.#once(hit, onStrain);
    if (!isCountedAlone && tasks > count) this.#once(hit, onOver);
  }

  #once(hit: LimitHit, tell: (hit: LimitHit) => void): void {
    if (this.#told.has(hit.kind)) return;
    this.#told.add(hit.kind);
    tell(hit);
  }
}
