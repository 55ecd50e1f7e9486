/** A file of an archive; the folders above it come by themselves. */
export interface TarFile {
  /** Without a slash at its begin; at most 100 bytes. */
  readonly path: string;
  readonly mode: number;
  readonly content: Uint8Array;
}

const BLOCK = 512;
const MAX_PATH = 100;
const FOLDER_MODE = 0o755;

const octal = (value: number, length: number): string =>
  `${value.toString(8).padStart(length - 1, "0")}\0`;

/** The head of an entry of root's, made at the beginning of time: the same files make the same bytes. */
function headOf(path: string, kind: "0" | "5", mode: number, size: number): Buffer {
  if (Buffer.byteLength(path) > MAX_PATH) throw new RangeError(`${path}: too long a name for tar`);
  const head = Buffer.alloc(BLOCK);
  head.write(path, 0);
  head.write(octal(mode, 8), 100);
  head.write(octal(0, 8), 108);
  head.write(octal(0, 8), 116);
  head.write(octal(size, 12), 124);
  head.write(octal(0, 12), 136);
  // The sum is made with blanks in its own place.
  head.write(" ".repeat(8), 148);
  head.write(kind, 156);
  head.write("ustar\u000000", 257);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${octal(sum, 7)} `, 148);
  return head;
}

function* foldersAbove(path: string): Generator<string> {
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1))
    yield path.slice(0, at + 1);
}

/** A tar archive of these files in their order, each after the folders that it lies in. */
export function tarOf(files: readonly TarFile[]): Buffer {
  const parts: Uint8Array[] = [];
  const made = new Set<string>();
  for (const { path, mode, content } of files) {
    for (const folder of foldersAbove(path))
      if (!made.has(folder)) {
        made.add(folder);
        parts.push(headOf(folder, "5", FOLDER_MODE, 0));
      }
    parts.push(headOf(path, "0", mode, content.length), content);
    parts.push(Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK));
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}
