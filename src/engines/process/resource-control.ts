import { setTimeout as delay } from "node:timers/promises";
import { SupervisorError, shortageOf } from "../../errors.ts";
import { joining } from "./cgroup.ts";
import { LimitWatch } from "./limit-watch.ts";
import { MARKER_NAME } from "./marks.ts";
import { findProcess } from "./process-table.ts";
import type { CpuLoad, Exit, LimitHit } from "../engine.ts";
import type { Cgroup, CgroupRoot } from "./cgroup.ts";
import type { ChildJournal, ProcessName } from "./child-journal.ts";
import type { Watch, Watched } from "./limit-watch.ts";
import type { Limits } from "./limits.ts";

/** What V8 says when it ends a process for want of memory. */
const OUT_OF_MEMORY = /JavaScript heap out of memory|Fatal process out of memory/;
const ABORTS: readonly (NodeJS.Signals | null)[] = ["SIGABRT", "SIGTRAP", "SIGILL"];
/** How a shell tells of those signals. */
const ABORT_CODES: readonly (number | null)[] = [134, 133, 132];
/** How long its last words may take to arrive after its end. */
const LAST_WORDS_MS = 200;
// V8 gives up when its heap, which it sizes to about half of what its cgroup allows, is full.
const SHARE_NEAR_LIMIT = 0.4;

/** Marks children and writes them down for the next life of the daemon, limits them, and sees to it that all of each ends. */
export class ResourceControl {
  readonly #journal: ChildJournal | undefined;
  readonly #cgroups: CgroupRoot | undefined;
  readonly #watch = new LimitWatch();

  constructor(journal?: ChildJournal, cgroups?: CgroupRoot) {
    this.#journal = journal;
    this.#cgroups = cgroups;
  }

  /** Makes room for one child, and for so many processes beside it. Rejects with INSTANCE_SPAWN_FAILED, or for a shortage. */
  prepareChild(limits: Limits, helpers = 0): ChildControl {
    const [journal, cgroups, watch] = [this.#journal, this.#cgroups, this.#watch];
    return new ChildControl({ journal, cgroups, watch, limits, helpers });
  }
}

interface Means {
  journal: ChildJournal | undefined;
  cgroups: CgroupRoot | undefined;
  watch: LimitWatch;
  limits: Limits;
  helpers: number;
}

/** One child under control, from before its start until nothing of it is left. */
export class ChildControl {
  readonly cgroup: Cgroup | undefined;
  /** In the environment of all that it starts, unless that was taken out; undefined without a journal. */
  readonly mark: string | undefined;
  readonly #means: Means;
  #name: ProcessName | undefined;
  #watch: Watch | undefined;
  #killedFor: LimitHit | undefined;
  #saidOutOfMemory = false;

  constructor(means: Means) {
    this.#means = means;
    this.mark = means.journal?.nextMark();
    try {
      const { limits, helpers } = means;
      const pids = limits.pids && limits.pids + helpers;
      this.cgroup = means.cgroups?.make({ ...limits, pids });
    } catch (cause) {
      const what = "could not be started: its cgroup could not be made";
      throw (
        shortageOf(cause, what) ?? new SupervisorError("INSTANCE_SPAWN_FAILED", what, { cause })
      );
    }
  }

  /** To be added to the child's environment. */
  get env(): Record<string, string> {
    return this.mark === undefined ? {} : { [MARKER_NAME]: this.mark };
  }

  /** The command line that starts the child in its group; goes outside of all that lowers its rights. */
  wrap(argv: readonly [string, ...string[]]): readonly [string, ...string[]] {
    return this.cgroup === undefined ? argv : joining(this.cgroup, argv);
  }

  /**
   * It runs. Throws when it cannot be written down, and then it must not go on: the next life of the
   * daemon could not know of it. `onOver` says that it must be killed.
   */
  spawned(
    pid: number,
    { onOver, ...watched }: Omit<Watched, "limits" | "cgroup" | "helpers">,
  ): void {
    const { limits, helpers, watch, journal } = this.#means;
    this.#name = findProcess(pid);
    if (this.#name) journal?.add(this.#name);
    this.#watch = watch.add({
      limits,
      helpers,
      cgroup: this.cgroup,
      ...watched,
      onOver: (hit) => {
        this.#killedFor = hit;
        onOver(hit);
      },
    });
  }

  /** Whether it uses all the CPU it may, and has for a while. */
  cpuLoad(): CpuLoad | null {
    return this.#watch?.cpuLoad() ?? null;
  }

  /** Tells each time that it begins to. */
  onBusy(tell: (load: CpuLoad) => void): void {
    this.#watch?.onBusy(tell);
  }

  /** To be shown every line of stderr. */
  heard(line: string): void {
    this.#saidOutOfMemory ||= OUT_OF_MEMORY.test(line);
  }

  /** The limit that was the child's end, null when it ended for another reason. `said`: all it wrote was shown. */
  async limitBehind(
    exit: Pick<Exit, "code" | "signal">,
    said: Promise<void>,
  ): Promise<Exit["limit"]> {
    const { memoryBytes: bytes } = this.#means.limits;
    if (this.#killedFor || bytes === undefined) return this.#killedFor ?? null;
    const hit = { kind: "memory", bytes } as const;
    if (this.cgroup?.isOverMemory() === true) return hit;
    if (!ABORTS.includes(exit.signal) && !ABORT_CODES.includes(exit.code)) return null;
    await Promise.race([said, delay(LAST_WORDS_MS)]);
    const peak = this.cgroup?.peakBytes() ?? this.#watch?.peakBytes ?? 0;
    return this.#saidOutOfMemory && peak > bytes * SHARE_NEAR_LIMIT ? hit : null;
  }

  /** Nothing of it is left, or it never ran. */
  release(): void {
    this.#watch?.end();
    this.cgroup?.remove();
    if (this.#name) this.#means.journal?.remove(this.#name);
    this.#name = undefined;
  }
}
