import { endAccounts } from "./accounts.ts";
import { ChildJournal } from "./child-journal.ts";
import { takeDelegation } from "./delegation.ts";
import { closeForkServer } from "./forks.ts";
import { killAllTrees } from "./process-tree.ts";
import { findEarlierLives, reapEarlierLives } from "./reaper.ts";
import { ResourceControl } from "./resource-control.ts";
import { startProcess } from "./start-process.ts";
import type { CgroupRoot, Controller } from "./cgroup.ts";
import type { ProcessName } from "./child-journal.ts";
import type { Reaped } from "./reaper.ts";
import type { StartProcess } from "./start-process.ts";

/** The process trees of one data folder, of this life of the daemon and of earlier ones. */
export interface ProcessTrees {
  /** What the kernel limits for us; nothing without a delegated cgroup. */
  readonly controllers: ReadonlySet<Controller>;
  /** A cgroup was delegated, and could not be made use of. */
  readonly delegationFailure: Error | undefined;
  /** The processes that earlier lives of the daemon have left behind; asked before the first start. */
  findLeft(): Promise<ProcessName[]>;
  /**
   * Ends them, and whatever runs as one of the children's `accounts`. To be called before the first
   * start. Rejects with DISK_FULL, RESOURCES_EXHAUSTED or INTERNAL when the journal cannot be written.
   */
  endLeft(): Promise<Reaped>;
  readonly start: StartProcess;
  /** See `Engine.killAll`. */
  killAll(): void;
  /** Its children must have ended. */
  close(): Promise<void>;
}

/** For the daemon of this data folder, which must be locked by it. */
export async function openProcessTrees(
  dataDir: string,
  accounts: ReadonlySet<number> = new Set(),
): Promise<ProcessTrees> {
  const journal = new ChildJournal(dataDir);
  let cgroups: CgroupRoot | undefined;
  let delegationFailure: Error | undefined;
  try {
    cgroups = await takeDelegation();
  } catch (error) {
    // Children without limits of the kernel's are better than none, and the admin is told.
    delegationFailure = error as Error;
  }
  // Those that this life makes are none of them.
  const groups = cgroups?.leftOver();
  const resources = new ResourceControl(journal, cgroups);
  return {
    controllers: cgroups?.controllers ?? new Set(),
    delegationFailure,
    findLeft: () => findEarlierLives(journal.earlier, groups),
    endLeft: async () => {
      const reaped = await reapEarlierLives(journal.earlier, groups);
      await endAccounts(accounts);
      journal.begin(reaped.left);
      return reaped;
    },
    start: (spec, onLine) => startProcess(spec, onLine, resources),
    killAll: killAllTrees,
    close: async () => {
      await closeForkServer();
      journal.close();
    },
  };
}
