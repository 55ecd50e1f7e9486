import { statSync } from "node:fs";
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { runAs } from "./as-account.ts";
import { readProcessTable } from "./process-table.ts";
import { holdersOfSharedMemory, removeSharedMemory } from "./shared-memory.ts";

const POLL_MS = 20;
// A process that the kernel cannot end must not keep its account's next child from starting.
const PATIENCE_MS = 10_000;
const SLICE = 64;

interface Account {
  holders: number;
  /** All that ran as it is being ended. */
  ending: Promise<void> | undefined;
}

const accounts = new Map<number, Account>();
const releaseNone = (): Promise<void> => Promise.resolve();

/**
 * Keeps what runs as the account alive: a child, or what is done for it with its rights. Resolves when
 * nothing of earlier holders is left. Whoever holds it must call what it resolves with, which resolves
 * when, after the last of them, nothing runs as that account any more. Undefined is the daemon's own, which nobody holds.
 */
export async function holdAccount(uid: number | undefined): Promise<() => Promise<void>> {
  if (uid === undefined) return releaseNone;
  const account = accounts.get(uid) ?? { holders: 0, ending: undefined };
  accounts.set(uid, account);
  while (account.ending) await account.ending;
  account.holders++;
  let released: Promise<void> | undefined;
  return async () => await (released ??= release(uid, account));
}

/** How many hold the account now. */
export const holdersOf = (uid: number): number => accounts.get(uid)?.holders ?? 0;

async function release(uid: number, account: Account): Promise<void> {
  if (--account.holders > 0) return;
  account.ending = endAccount(uid);
  await account.ending;
  account.ending = undefined;
}

/** Ends whatever runs as one of these accounts, of which nobody may be held, and takes away what they left in memory. */
export async function endAccounts(uids: ReadonlySet<number>): Promise<void> {
  if (uids.size === 0) return;
  const running = (await readProcessTable()).map(({ pid }) => ownerOf(pid));
  const inUse = new Set([...running, ...(await holdersOfSharedMemory(uids))]);
  for (const uid of inUse) if (uid !== undefined && uids.has(uid)) await endAccount(uid);
}

/** Its last child has ended. What else is left of an account at that moment is taken away here. Never rejects. */
async function endAccount(uid: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    // By the account itself: no fork outruns the kernel, which signals all that it may at once. It
    // says no where there is nobody.
    await runAs(uid, "kill -9 -1").catch(() => {});
    const isOver = await isUnused(uid).catch(() => false);
    if (isOver || performance.now() > deadline) break;
    await delay(POLL_MS);
  }
  // What cannot be removed is counted against the account's next child.
  await removeSharedMemory(uid).catch(() => {});
}

async function isUnused(uid: number): Promise<boolean> {
  for (const [index, { pid, isZombie }] of (await readProcessTable()).entries()) {
    if (index > 0 && index % SLICE === 0) await nextTurn();
    if (!isZombie && ownerOf(pid) === uid) return false;
  }
  return true;
}

function ownerOf(pid: number): number | undefined {
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    return undefined;
  }
}
