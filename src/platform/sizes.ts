const UNIT_BYTES = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

export const SIZE = /^(\d{1,12})([KMG]?)$/;

/** Bytes of a text such as `64K`, `512M`, `8G` (binary) or a whole number; undefined for any other. */
export function parseSize(text: string): number | undefined {
  const [, amount, unit] = SIZE.exec(text) ?? [];
  if (amount === undefined) return undefined;
  return Number(amount) * (unit === "" ? 1 : UNIT_BYTES[unit as keyof typeof UNIT_BYTES]);
}

/** As the config has it, without loss: `512M`, `1536M`, or plain bytes where no unit fits. */
export function sizeText(bytes: number): string {
  const [unit, factor] = Object.entries(UNIT_BYTES).findLast(([, of]) => bytes % of === 0) ?? [];
  return factor === undefined ? `${bytes} bytes` : `${bytes / factor}${unit}`;
}

/** For a table: in MiB, in KiB where it is less than one, and with a decimal from a GiB on. */
export function roughSize(bytes: number): string {
  if (bytes < UNIT_BYTES.M) return `${Math.ceil(bytes / UNIT_BYTES.K)}K`;
  const mebi = mebibytes(bytes);
  return mebi < 1024 ? `${mebi}M` : `${gibibytes(bytes)}G`;
}

/** In GiB, for a sentence: a decimal where it says something. */
export const gibibytes = (bytes: number): string =>
  (bytes / UNIT_BYTES.G).toFixed(1).replace(/\.0$/, "");

/** Whole MiB, for a sentence. */
export const mebibytes = (bytes: number): number => Math.round(bytes / UNIT_BYTES.M);
