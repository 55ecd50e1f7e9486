/** One thing that was looked at: what was wanted, what was found, and whether that will do. */
export interface Figure {
  what: string;
  wanted: string;
  found: string;
  holds: boolean;
}

/** What a run has found, line by line. */
export class Sheet {
  readonly figures: Figure[] = [];

  /** `wanted` is what `found` has to be, or, with `holds`, words for it. */
  note(what: string, wanted: string | number, found: string | number, holds?: boolean): void {
    const texts = { wanted: String(wanted), found: String(found) };
    this.figures.push({ what, ...texts, holds: holds ?? texts.wanted === texts.found });
  }

  /** What goes wrong in the midst of a look is what was found. */
  async look(what: string, at: () => Promise<void>): Promise<void> {
    try {
      await at();
    } catch (error) {
      this.note(what, "no error of the check itself", (error as Error).message, false);
    }
  }

  get failed(): Figure[] {
    return this.figures.filter(({ holds }) => !holds);
  }
}

/** Does the work for each of them, at most so many at the same time. */
export async function atMost<T>(
  lanes: number,
  of: readonly T[],
  work: (one: T) => Promise<void>,
): Promise<void> {
  const left = [...of];
  const lane = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

const WIDEST = 300;
/** What is wider shifts the rest of its row alone. */
const COLUMN = 80;

/** Lines of text, those that do not hold marked. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map(({ what, wanted, found, holds }) =>
    [holds ? "ok" : "NOT OK", what, found.slice(0, WIDEST), `(${wanted})`].map(String),
  );
  const widths = [0, 1, 2].map((i) =>
    Math.max(0, ...rows.map((row) => Math.min(row[i]!.length, COLUMN))),
  );
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
