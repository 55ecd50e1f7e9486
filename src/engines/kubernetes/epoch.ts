import { randomBytes } from "node:crypto";
import type { Store } from "../../store/store.ts";

const EPOCH = "kubernetes epoch";
const INSTALLATION = "kubernetes installation";

/**
 * The number of this daemon among those of its installation, higher than that of every one before: a shim
 * obeys the highest that it has met. It is on the disk when this returns, so that no later one repeats it.
 * By the clock too: a database that was restored knows less than the shims do.
 */
export function takeEpoch(meta: Store["meta"], now = Date.now()): number {
  const last = Number(meta.find(EPOCH)?.toString() ?? 0);
  const epoch = Math.max(last + 1, now);
  meta.set(EPOCH, Buffer.from(String(epoch)));
  return epoch;
}

/** What tells this installation's pods from those of others in the same namespace; as long as the database lives, and in its backups. */
export function installationOf(meta: Store["meta"]): string {
  const known = meta.find(INSTALLATION)?.toString();
  if (known !== undefined) return known;
  const made = randomBytes(8).toString("hex");
  meta.set(INSTALLATION, Buffer.from(made));
  return made;
}
