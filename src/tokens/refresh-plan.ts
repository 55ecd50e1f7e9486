import { createHash } from "node:crypto";
import type { GrantRow } from "../store/store.ts";

const DAY_MS = 86_400_000;
const MIN_LEAD_MS = 300_000;
/** Used within this time, a token is kept fresh. */
const IN_USE_MS = DAY_MS;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 300_000;
/** No provider is left alone for longer, whatever it asks for. */
const MAX_RETRY_MS = DAY_MS;

/** How much sooner than at the last moment, up to a fifth: the same for one token until it is another. */
function jitterOf({ user, server, generation }: GrantRow): number {
  const digest = createHash("sha256").update(`${user}/${server}/${generation}`).digest();
  return 1 + digest.readUInt16BE(0) / 0xffff / 5;
}

/**
 * When the token is to be refreshed, by the wall clock; undefined for one that waits until it is wanted.
 * One that is in use is refreshed well before it ends, any other only so that its refresh token does
 * not end unused.
 */
export function dueAt(row: GrantRow, isRunning: boolean, now: number): number | undefined {
  if (row.state === "needs_reauth") return undefined;
  if (row.state === "inflight") return now;
  const jitter = jitterOf(row);
  const refreshEnd =
    row.refreshExpiresAt === null ? Infinity : row.refreshExpiresAt - DAY_MS * jitter;
  const isUsed = isRunning || (row.usedAt !== null && now - row.usedAt < IN_USE_MS);
  if (isOfLaterClock(row.refreshedAt, row.lifetimeMs, now))
    return isUsed || row.refreshExpiresAt !== null ? now : undefined;
  const at = isUsed ? Math.min(accessEnd(row, jitter), refreshEnd) : refreshEnd;
  return at === Infinity ? undefined : at;
}

/**
 * It came later than now is, by more than its lead: the clock was set back since, and by this one it
 * would be good for as much longer than it is.
 */
export const isOfLaterClock = (
  cameAt: number | null,
  lifetimeMs: number | null,
  now: number,
): boolean => cameAt !== null && cameAt - now > leadOf(lifetimeMs ?? 0);

function accessEnd({ expiresAt, lifetimeMs }: GrantRow, jitter: number): number {
  return expiresAt === null ? Infinity : expiresAt - leadOf(lifetimeMs ?? 0) * jitter;
}

/** How long before its end a token of that life is replaced: one that lives for minutes, at the half of them. */
export const leadOf = (lifetimeMs: number): number =>
  Math.min(Math.max(MIN_LEAD_MS, lifetimeMs / 10), lifetimeMs / 2);

/** How long to wait after so many failures in a row: doubling, a fifth of it by chance, so that a provider that is back is not met by all. */
export function retryAfter(failures: number, askedMs = 0): number {
  const ms = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 20));
  return Math.max(Math.min(askedMs, MAX_RETRY_MS), ms * (1 + Math.random() / 5));
}
