// The rows of a bench: told as they come, and at the end as the table of docs/performance.md.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { table as tableOf } from "../tools/markdown.mjs";

const PAGE = fileURLToPath(new URL("../docs/performance.md", import.meta.url));
const HEAD = ["what", "measured", "figure to hold", ""];

const rows = [];
const verdict = (isMet) => (isMet === undefined ? "" : isMet ? "held" : "**missed**");

/** Of a line of the table. */
const cellsOf = (line) =>
  line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
/** The smallest that this share of them is not above. */
export const atShare = (values, share) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
/** In an order of chance. */
export const shuffled = (values) =>
  values
    .map((value) => ({ value, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ value }) => value);
export const sum = (values) => values.reduce((total, value) => total + value, 0);

/** `isMet` is undefined for rows that are there for comparison. */
export function tell(what, figure, target, isMet) {
  rows.push([what, figure, target, verdict(isMet)]);
  console.error(`${verdict(isMet)} ${what}: ${figure} (${target})`);
}

/** Tells the rows of a bench that runs in a process of its own, so that it does not pause for the garbage of the rows before. */
export function tellThoseOf(program, ...args) {
  const argv = [fileURLToPath(new URL(program, import.meta.url)), ...args.map(String)];
  const stdio = ["ignore", "pipe", "inherit"];
  const { stdout } = spawnSync(process.execPath, argv, { stdio, encoding: "utf8" });
  const [, , ...lines] = stdout.split("\n").filter((text) => text.startsWith("|"));
  if (lines.length === 0) throw new Error(`${program} told nothing`);
  rows.push(...lines.map(cellsOf));
}

/** The rows so far. */
export const table = () => tableOf(HEAD, rows);

/** Puts the text in the place of the paragraph and the table that begin with the number of cores. */
export function renewFigures(text) {
  const figures = /^\d+ cores \(.*\n\n(?:\|.*\n)+/m;
  const before = readFileSync(PAGE, "utf8");
  if (!figures.test(before)) throw new Error("the page has no table of figures to renew");
  writeFileSync(
    PAGE,
    before.replace(figures, () => text),
  );
}
