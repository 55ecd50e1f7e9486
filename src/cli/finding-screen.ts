import type { Finding } from "../api/finding.ts";
import { wrapped } from "./view.ts";
import type { Line, Piece, View } from "./view.ts";

const MARKS: Record<Finding["outcome"], Piece> = {
  ok: { text: "ok  ", tone: "good" },
  warning: { text: "warn", tone: "warning" },
  failed: { text: "FAIL", tone: "bad" },
};
const MARK_WIDTH = 4;
const INDENT = "      ";

/** One finding after the other, with what to do about it; what is longer than a line goes on below. */
export function findingLines(findings: readonly Finding[], { width }: View): Line[] {
  return findings.flatMap(({ check, outcome, found, next }) => {
    const [first = "", ...rest] = wrapped(`${check}: ${found}`, INDENT, width);
    const advice = next === null ? [] : wrapped(`→ ${next}`, INDENT, width);
    return [[MARKS[outcome], first.slice(MARK_WIDTH)], ...rest, ...advice];
  });
}

/** The verdict, and below it what it comes from. */
export const findingScreen = (
  verdict: string,
  findings: readonly Finding[],
  view: View,
): Line[] => [...wrapped(verdict, "", view.width), "", ...findingLines(findings, view)];
