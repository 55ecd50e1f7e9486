// The rows of a bench: told as they come, and at the end as the table of the README.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const README = fileURLToPath(new URL("../README.md", import.meta.url));
const HEAD = ["what", "measured", "figure to hold", ""];

const rows = [];
const verdict = (isMet) => (isMet === undefined ? "" : isMet ? "held" : "**missed**");

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
/** The smallest that this share of them is not above. */
export const atShare = (values, share) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
export const sum = (values) => values.reduce((total, value) => total + value, 0);

/** `isMet` is undefined for rows that are there for comparison. */
export function tell(what, figure, target, isMet) {
  rows.push([what, figure, target, verdict(isMet)]);
  console.error(`${verdict(isMet)} ${what}: ${figure} (${target})`);
}

/** The figure to hold as text, and whether it is held. */
export function atMost(measured, limit, unit) {
  return limit === undefined ? ["–", undefined] : [`≤ ${limit} ${unit}`, measured <= limit];
}

/** As the formatter has it, so that the README needs no second hand. */
export function table() {
  const widths = HEAD.map((_, i) =>
    Math.max(3, ...[HEAD, ...rows].map((cells) => cells[i].length)),
  );
  const line = (cells) => `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [line(HEAD), rule, ...rows.map(line)].join("\n");
}

/** Puts the text in the place of the paragraph and the table that begin with the number of cores. */
export function renewReadme(text) {
  const figures = /^\d+ cores \(.*\n\n(?:\|.*\n)+/m;
  const before = readFileSync(README, "utf8");
  if (!figures.test(before)) throw new Error("the README has no table of figures to renew");
  writeFileSync(
    README,
    before.replace(figures, () => text),
  );
}
