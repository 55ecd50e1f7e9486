import { z } from "zod";

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Timers of Node hold 2^31-1 ms, just under 25 days, and fire at once when given more. */
const LONGEST_MS = 24 * UNIT_MS.d;

const DURATION_RULE = 'must be a duration such as "250ms", "30s", "15m", "2h", "7d"';

/** A duration as in `30s`, read into milliseconds. */
export function duration(shortestMs = 1) {
  return z
    .string({ error: DURATION_RULE })
    .regex(/^\d{1,12}(?:ms|s|m|h|d)$/, DURATION_RULE)
    .transform((value) => {
      const [, amount, unit] = /^(\d+)(\D+)$/.exec(value)!;
      return Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS];
    })
    .refine((ms) => ms >= shortestMs, "must be longer than nothing")
    .refine((ms) => ms <= LONGEST_MS, "must be at most 24d");
}

const UNIT_BYTES = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

const SIZE_RULE = 'must be a size such as "64K", "512M", "8G", or a number of bytes';

/** A size as in `512M` (binary) or a whole number, read into bytes. */
export const size = z
  .union([z.int(), z.string().regex(/^\d{1,12}[KMG]?$/, SIZE_RULE)], { error: SIZE_RULE })
  .transform((value) => {
    const [, amount, unit] = /^(-?\d+)(\D?)$/.exec(String(value))!;
    return Number(amount) * (unit === "" ? 1 : UNIT_BYTES[unit as keyof typeof UNIT_BYTES]);
  })
  .refine((bytes) => bytes >= 1, "must be at least 1")
  .refine((bytes) => Number.isSafeInteger(bytes), "must be smaller");

/** A size as one would write it in the config: `512M`, `1536M`, or plain bytes where no unit fits. */
export function sizeText(bytes: number): string {
  const [unit, factor] = Object.entries(UNIT_BYTES).findLast(([, of]) => bytes % of === 0) ?? [];
  return factor === undefined ? `${bytes} bytes` : `${bytes / factor}${unit}`;
}

export const count = z.int().min(1);
export const port = z.int().min(1).max(65_535);

/** 0 lets the system choose. */
export const listenPort = z.int().min(0).max(65_535);
