import type { Keepsake } from "../engines/engine.ts";

/** What the next daemon needs to go on with a stdio child, which says it but once. */
export interface ChildNote {
  /** The result of its `initialize`, a character for each byte. */
  readonly greeting?: string;
  /** The revisions that it named. */
  readonly versions?: readonly string[];
}

export const noteOf = (note: ChildNote): Buffer => Buffer.from(JSON.stringify(note));

/** What an earlier daemon left with the child; undefined where there was none. Throws for what is no note. */
export const noteIn = ({ found }: Pick<Keepsake, "found">): ChildNote | undefined =>
  found === null ? undefined : (JSON.parse(Buffer.from(found).toString("utf8")) as ChildNote);
