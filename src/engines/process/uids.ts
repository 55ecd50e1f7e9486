import { readFileSync, readdirSync, statSync } from "node:fs";
import { SupervisorError } from "../../errors.ts";
import type { Store } from "../../store/store.ts";

const NEXT = "uids next";

/** Accounts of this machine that some process runs as, or that have a name. */
function accountsInUse(): Set<number> {
  const found = new Set<number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      found.add(statSync(`/proc/${name}`).uid);
    } catch {
      // It ended meanwhile.
    }
  }
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n"))
    found.add(Number(line.split(":")[2]));
  return found;
}

/**
 * The accounts that children run as: one for each user and server, the same at every start, kept in
 * the database. One is given anew only when its home is gone and no process has it, and as late as
 * can be, because files of its may lie elsewhere.
 */
export class Uids {
  readonly #store: Pick<Store, "uids" | "meta" | "transaction">;
  readonly #range: { from: number; to: number };

  constructor(
    store: Pick<Store, "uids" | "meta" | "transaction">,
    range: { from: number; to: number },
  ) {
    this.#store = store;
    this.#range = range;
  }

  /** Rejects with INSTANCE_SPAWN_FAILED when the range is used up. */
  of(user: string, server: string): number {
    const { uids, meta } = this.#store;
    const known = uids.find(user, server);
    // One outside of the range was given under another config.
    if (known !== undefined && known >= this.#range.from && known <= this.#range.to) return known;
    if (known !== undefined)
      throw new SupervisorError(
        "INSTANCE_SPAWN_FAILED",
        `could not be started: its account ${known} is outside of "uids"`,
      );
    return this.#store.transaction(() => {
      const uid = this.#findFree();
      uids.insert({ uid, user, server });
      meta.set(NEXT, Buffer.from(String(uid + 1)));
      return uid;
    });
  }

  #findFree(): number {
    const { from, to } = this.#range;
    const next = Number(this.#store.meta.find(NEXT)?.toString() ?? from);
    const start = next < from || next > to ? from : next;
    const inUse = accountsInUse();
    const size = to - from + 1;
    for (let step = 0; step < size; step++) {
      const uid = from + ((start - from + step) % size);
      if (!inUse.has(uid) && !this.#store.uids.isTaken(uid)) return uid;
    }
    throw new SupervisorError(
      "INSTANCE_SPAWN_FAILED",
      `could not be started: all accounts from ${from} to ${to} are in use`,
    );
  }
}
