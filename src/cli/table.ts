import { printable } from "./printable.ts";
import { cutTo, textWidth, wrapped } from "./view.ts";
import type { Line, Piece, Tone, View } from "./view.ts";

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row, now: number) => string;
  readonly isNumber?: boolean;
  readonly tone?: (row: Row, now: number) => Tone | undefined;
  /** Where the terminal is too narrow, the column with the lowest goes first; one without stays. */
  readonly leaves?: number;
}

interface Notes<Row> {
  /** Sentences about a row, on lines of their own below it. */
  readonly notes?: (row: Row) => readonly string[];
}

const GAP = "  ";
const NOTE_INDENT = "  ";
/** A cell that is cut shorter says nothing any more. */
const SHORTEST = 8;

const leavingOf = <Row>(columns: readonly Column<Row>[]): Column<Row>[] =>
  columns.filter(({ leaves }) => leaves !== undefined).toSorted((a, b) => a.leaves! - b.leaves!);

/** For the help: which columns a narrow terminal loses, in their order. */
export const leavingText = <Row>(columns: readonly Column<Row>[]): string =>
  `\nWhere the terminal is too narrow, columns go in this order:\n  ${leavingOf(columns)
    .map(({ title }) => title)
    .join(", ")}\n`;

const fullWidth = (widths: readonly number[]): number =>
  widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1);

/** The widest go down to a common width, so that all of them fit. */
function shrunk(widths: readonly number[], width: number): number[] {
  const result = [...widths];
  while (fullWidth(result) > width) {
    const widest = Math.max(...result);
    if (widest <= SHORTEST) break;
    result[result.indexOf(widest)] = widest - 1;
  }
  return result;
}

/** Rows under a header line, two spaces between the columns; see `Column` for what happens where they do not fit. */
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { width, now }: Pick<View, "width" | "now">,
  { notes = () => [] }: Notes<Row> = {},
): Line[] {
  const all = columns.map((column) => {
    const cells = rows.map((row) => printable(column.cell(row, now)));
    return { ...column, cells, width: Math.max(...[column.title, ...cells].map(textWidth)) };
  });
  const leaving = leavingOf(all);
  let left = all;
  while (fullWidth(left.map((column) => column.width)) > width && leaving.length > 0) {
    const [gone] = leaving.splice(0, 1);
    left = left.filter(({ title }) => title !== gone?.title);
  }
  const widths = shrunk(
    left.map((column) => column.width),
    width,
  );
  const lineOf = (cellOf: (at: number) => [string, Tone | undefined]): Line =>
    trimmed(
      left.flatMap(({ isNumber = false }, at): Piece[] => {
        const [whole, tone] = cellOf(at);
        const text = cutTo(whole, widths[at]!);
        const blanks = " ".repeat(Math.max(0, widths[at]! - textWidth(text)));
        const piece = tone === undefined ? text : { text, tone };
        const gap = at === 0 ? "" : GAP;
        return isNumber ? [gap + blanks, piece] : [gap, piece, blanks];
      }),
    );
  return [
    lineOf((at) => [left[at]!.title, "aside"]),
    ...rows.flatMap((row, index) => [
      lineOf((at) => [left[at]!.cells[index]!, left[at]!.tone?.(row, now)]),
      ...notes(row).flatMap((note) => wrapped(note, NOTE_INDENT, width)),
    ]),
  ];
}

/** Without the blanks at its end. */
function trimmed(pieces: readonly Piece[]): Piece[] {
  const end = pieces.findLastIndex((piece) =>
    typeof piece === "string" ? piece.trim() !== "" : piece.text !== "",
  );
  return pieces.slice(0, end + 1);
}
