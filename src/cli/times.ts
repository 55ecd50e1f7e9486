import { SupervisorError } from "../errors.ts";
import { DAY_MS, parseDuration, roughDuration } from "../platform/durations.ts";
import type { Tone } from "./view.ts";

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
/** The end of the year 9999; a number beyond it was meant as milliseconds. */
const LATEST_SECONDS = 253_402_300_799;
const LIFETIME = /^\d{1,9}[smhd]$/;

/** Over, or within a week of it. */
export function expiryTone(expiresAt: number | null, now: number): Tone | undefined {
  if (expiresAt === null || expiresAt > now + 7 * DAY_MS) return undefined;
  return expiresAt <= now ? "bad" : "warning";
}

/** `in 3d`, `2h ago`, `never`: when something ends, or has ended. */
export function untilText(at: number | null, now: number): string {
  if (at === null) return "never";
  const text = roughDuration(Math.abs(at - now) / 1_000);
  return at > now ? `in ${text}` : `${text} ago`;
}

const usage = (message: string): SupervisorError => new SupervisorError("USAGE", message);

/** Epoch ms of an RFC 3339 time or of epoch seconds; throws USAGE. */
export function parseInstant(text: string): number {
  if (/^\d+$/.test(text)) {
    const seconds = Number(text);
    if (seconds > LATEST_SECONDS)
      throw usage(`${text} is no time in epoch seconds; is it in milliseconds?`);
    return seconds * 1_000;
  }
  const epochMs = RFC_3339.test(text) ? Date.parse(text.toUpperCase().replace(" ", "T")) : NaN;
  if (Number.isNaN(epochMs)) {
    throw usage(
      "the time is not understood; write it like 2027-01-31T12:00:00Z, or as epoch seconds",
    );
  }
  return epochMs;
}

/**
 * Epoch ms of when a look back begins: how long ago (`1h`), `today` or `yesterday` as the clock of
 * this process has them, or an instant; throws USAGE.
 */
export function parseSince(text: string, now = Date.now()): number {
  if (/^\d+[smhd]$/.test(text)) return now - parseLifetime(text);
  if (!/^(\d|today$|yesterday$)/.test(text))
    throw usage(
      "the time is not understood; write how long ago it was, like 1h or 2d, or today, yesterday, or a time like 2027-01-31T12:00:00Z",
    );
  if (text !== "today" && text !== "yesterday") return parseInstant(text);
  const midnight = new Date(now);
  if (text === "yesterday") midnight.setDate(midnight.getDate() - 1);
  return midnight.setHours(0, 0, 0, 0);
}

/** Milliseconds of a lifetime like 90d or 12h; throws USAGE. */
export function parseLifetime(text: string): number {
  const lifetimeMs = LIFETIME.test(text) ? parseDuration(text) : undefined;
  if (lifetimeMs === undefined || lifetimeMs === 0 || lifetimeMs > LATEST_SECONDS * 1_000)
    throw usage("the lifetime is not understood; write it like 90d, 12h or 30m");
  return lifetimeMs;
}
