export const KEY_BYTES = 32;

/** The largest number that a box has room for. */
const MAX_KEY_ID = 0xff_ff_ff_ff;

/** A key with its number; a later one has a higher number. */
export interface VaultKey {
  id: number;
  bytes: Buffer;
}

const LINE = /^(0|[1-9]\d{0,9}):(.*)$/;

/** The bytes of a whole key. Node skips what is not base64; only the text that it would write itself counts. */
function decode(base64: string): Buffer | undefined {
  const bytes = Buffer.from(base64, "base64");
  return bytes.length === KEY_BYTES && bytes.toString("base64") === base64 ? bytes : undefined;
}

/** One line of a key file, `ID:base64`; undefined for anything else. */
export function parseKey(line: string): VaultKey | undefined {
  const [, id, base64] = LINE.exec(line) ?? [];
  const bytes = decode(base64 ?? "");
  return bytes === undefined || Number(id) > MAX_KEY_ID ? undefined : { id: Number(id), bytes };
}

export const formatKey = ({ id, bytes }: VaultKey): string => `${id}:${bytes.toString("base64")}`;

/** The text of a key file. Key 0 alone is written as before there were several, without its number. */
export function formatKeys(keys: readonly VaultKey[]): string {
  const [only] = keys;
  if (keys.length === 1 && only?.id === 0) return `${only.bytes.toString("base64")}\n`;
  return keys.map((key) => `${formatKey(key)}\n`).join("");
}

/** The keys of a key file, the newest first, or what is wrong with its text: never with a byte of a key. */
export function parseKeys(text: string): VaultKey[] | string {
  const lines = text.replace(/\r?\n$/, "").split(/\r?\n/);
  const alone = lines.length === 1 ? decode(lines[0] ?? "") : undefined;
  if (alone !== undefined) return [{ id: 0, bytes: alone }];
  const keys: VaultKey[] = [];
  for (const [index, line] of lines.entries()) {
    const key = parseKey(line);
    if (key === undefined) {
      const which = lines.length === 1 ? "" : `in line ${index + 1} `;
      return `does not hold a key ${which}(ID:base64, of ${KEY_BYTES} bytes)`;
    }
    keys.push(key);
  }
  return problemOf(keys) ?? keys;
}

function problemOf(keys: readonly VaultKey[]): string | undefined {
  for (const [index, key] of keys.entries()) {
    const others = keys.slice(index + 1);
    if (others.some(({ id }) => id === key.id)) return `holds the key ${key.id} twice`;
    const same = others.find(({ bytes }) => bytes.equals(key.bytes));
    if (same !== undefined) return `holds one key as ${key.id} and as ${same.id}`;
  }
  const isInOrder = keys.every(({ id }, index) => index === 0 || keys[index - 1]!.id > id);
  return isInOrder
    ? undefined
    : "holds its keys out of order: the newest, which has the highest number, is the first";
}
