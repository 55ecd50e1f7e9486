import { childrenOf, findProcess } from "./process-table.ts";
import type { ProcessEntry } from "./process-table.ts";

/**
 * Whether a child has done anything since its processes were last looked at, told from those alone: two
 * small files each, where the table is one of every process of the machine. What left the tree is not seen.
 */
export class Rest {
  #seen: readonly ProcessEntry[] = [];
  #pids: ReadonlySet<number> = new Set();
  #wasOver = false;

  /** The child's processes as the table told just now. */
  begin(members: readonly ProcessEntry[]): void {
    this.#seen = members;
    this.#pids = new Set(members.map(({ pid }) => pid));
  }

  /**
   * None was seen so far, or one of them has used CPU, has ended, or has started another; and once more
   * after that, because what it did last may show later, as what it holds in files does.
   */
  isOver(): boolean {
    const isOver = this.#seen.length === 0 || this.#seen.some((then) => this.#hasStirred(then));
    const isToBeTold = isOver || this.#wasOver;
    this.#wasOver = isOver;
    return isToBeTold;
  }

  #hasStirred(then: ProcessEntry): boolean {
    const now = findProcess(then.pid);
    if (now === undefined || now.isZombie || now.startTicks !== then.startTicks) return true;
    if (now.ownTicks !== then.ownTicks || now.reapedTicks !== then.reapedTicks) return true;
    const isNew = (pid: number) => !this.#pids.has(pid) && findProcess(pid)?.isZombie === false;
    return childrenOf(then.pid).some(isNew);
  }
}
