/** Units of time as people write them, largest last. */
const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export const MINUTE_MS = UNIT_MS.m;
export const DAY_MS = UNIT_MS.d;

export const DURATION = /^(\d{1,12})(ms|s|m|h|d)$/;

/** Milliseconds of a text such as `250ms`, `30s`, `15m`, `2h` or `7d`; undefined for any other. */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit] = DURATION.exec(text) ?? [];
  return amount === undefined ? undefined : Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS];
}

const LARGEST_FIRST = Object.entries(UNIT_MS).toReversed();

/** As the config has it, without loss: in the largest unit that leaves a whole number. */
export function durationText(ms: number): string {
  const [unit, size] = LARGEST_FIRST.find(([, of]) => ms % of === 0) ?? ["ms", 1];
  return `${ms / size}${unit}`;
}

/** For a table: the largest whole unit, at least seconds. */
export function roughDuration(seconds: number): string {
  const [unit, size] = LARGEST_FIRST.find(([, of]) => seconds * 1000 >= of && of >= 1000) ?? [
    "s",
    1000,
  ];
  return `${Math.floor((seconds * 1000) / size)}${unit}`;
}

/** How long something took: milliseconds only where it is that short. */
export const timeTaken = (ms: number): string =>
  ms < UNIT_MS.s
    ? `${ms.toFixed(1)} ms`
    : ms < UNIT_MS.m
      ? `${(ms / UNIT_MS.s).toFixed(1)} s`
      : roughDuration(ms / UNIT_MS.s);

/** For a sentence: seconds up to two minutes, minutes up to two hours, hours up to two days. */
export function spokenDuration(ms: number): string {
  const rounded = Math.round(ms / UNIT_MS.s) * UNIT_MS.s;
  if (rounded < 2 * UNIT_MS.m) return `${rounded / UNIT_MS.s} s`;
  if (rounded < 2 * UNIT_MS.h) return `${Math.round(rounded / UNIT_MS.m)} min`;
  return rounded < 2 * UNIT_MS.d
    ? `${Math.round(rounded / UNIT_MS.h)} h`
    : `${Math.round(rounded / UNIT_MS.d)} d`;
}
