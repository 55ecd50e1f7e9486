import { printable } from "./printable.ts";

/** What a piece of text means, where there is colour to say so. */
export type Tone = "good" | "warning" | "bad" | "aside";

/** A line is plain, or made of pieces of which some mean something. */
export type Line = string | readonly Piece[];
export type Piece = string | { readonly text: string; readonly tone: Tone };

/** Where a command is read, and when. */
export interface View {
  /** Columns of text; infinite where nothing says how many there are. */
  readonly width: number;
  readonly hasColour: boolean;
  /** Epoch ms; ages are told from it. */
  readonly now: number;
}

/** A terminal narrower than this wraps as it likes. */
const NARROWEST = 40;

/** Colour is for terminals, and not for those whose owner wants none (NO_COLOR, TERM=dumb). */
export function viewHere(): View {
  const { isTTY, columns } = process.stdout;
  const { NO_COLOR = "", TERM, COLUMNS = "" } = process.env;
  // Of a pipe only who set it up knows how wide it will be shown.
  const width = isTTY ? columns : /^\d{1,5}$/.test(COLUMNS) ? Number(COLUMNS) : 0;
  return {
    width: width > 0 ? Math.max(width, NARROWEST) : Infinity,
    hasColour: isTTY && NO_COLOR === "" && TERM !== "dumb",
    now: Date.now(),
  };
}

const CODES: Record<Tone, number> = { good: 32, warning: 33, bad: 31, aside: 2 };

function painted(piece: Piece, hasColour: boolean): string {
  if (typeof piece === "string") return printable(piece);
  const text = printable(piece.text);
  return hasColour ? `\u001b[${CODES[piece.tone]}m${text}\u001b[0m` : text;
}

/** Lines as they are written, whatever a stranger put into them made safe. Without colour they are byte for byte the same. */
export function shown(lines: readonly Line[], { hasColour }: Pick<View, "hasColour">): string {
  const texts = lines.map((line) =>
    typeof line === "string"
      ? // Snippets have lines of their own; any other line break of a stranger's was written out before.
        line.split("\n").map(printable).join("\n")
      : line.map((piece) => painted(piece, hasColour)).join(""),
  );
  return `${texts.join("\n")}\n`;
}

const SEGMENTS = new Intl.Segmenter();
const WIDE =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}])/u;

/** How many columns of a terminal the text takes. */
export function textWidth(text: string): number {
  if (/^[\u0020-\u024f]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of SEGMENTS.segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

/** The text at the length of a cell: cut with an ellipsis where it is longer. */
export function cutTo(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let kept = "";
  let taken = 1;
  for (const { segment } of SEGMENTS.segment(text)) {
    taken += textWidth(segment);
    if (taken > width) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** The text in lines behind an indent, broken between words; a word that is longer than a line stays whole. */
export function wrapped(text: string, indent: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of printable(text).split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && indent.length + textWidth(longer) > width) {
      lines.push(indent + line);
      line = word;
    } else line = longer;
  }
  return [...lines, indent + line];
}
