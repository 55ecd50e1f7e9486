import { z } from "zod";
import { DAY_MS, DURATION, parseDuration } from "../platform/durations.ts";
import { SIZE, parseSize } from "../platform/sizes.ts";

/** Timers of Node hold 2^31-1 ms, just under 25 days, and fire at once when given more. */
const LONGEST_MS = 24 * DAY_MS;

const DURATION_RULE = 'must be a duration such as "250ms", "30s", "15m", "2h", "7d"';

/** A duration as in `30s`, read into milliseconds. */
export function duration(shortestMs = 1) {
  return z
    .string({ error: DURATION_RULE })
    .regex(DURATION, DURATION_RULE)
    .transform((value) => parseDuration(value)!)
    .refine((ms) => ms >= shortestMs, "must be longer than nothing")
    .refine((ms) => ms <= LONGEST_MS, "must be at most 24d");
}

const SIZE_RULE = 'must be a size such as "64K", "512M", "8G", or a number of bytes';

/** A size as in `512M` (binary) or a whole number, read into bytes. */
export const size = z
  .union([z.int(), z.string().regex(SIZE, SIZE_RULE)], { error: SIZE_RULE })
  .transform((value) => (typeof value === "number" ? value : parseSize(value)!))
  .refine((bytes) => bytes >= 1, "must be at least 1")
  .refine((bytes) => Number.isSafeInteger(bytes), "must be smaller");

export const count = z.int().min(1);
export const port = z.int().min(1).max(65_535);

/** 0 lets the system choose. */
export const listenPort = z.int().min(0).max(65_535);
