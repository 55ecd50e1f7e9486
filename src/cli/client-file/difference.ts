import type { Line } from "../view.ts";

/** How many lines around a change are shown with it. */
const AROUND = 2;
/** Beyond it the middle of the file counts as changed: the table of pairs would be too large. */
const MAX_PAIRS = 4_000_000;

type Change = readonly [mark: " " | "-" | "+", line: string];

/** How long the longest common rest is, from each pair of places on. */
function commonRests(before: readonly string[], after: readonly string[]): Uint32Array {
  const width = after.length + 1;
  const rests = new Uint32Array((before.length + 1) * width);
  for (let a = before.length - 1; a >= 0; a -= 1)
    for (let b = after.length - 1; b >= 0; b -= 1)
      rests[a * width + b] =
        before[a] === after[b]
          ? rests[(a + 1) * width + b + 1]! + 1
          : Math.max(rests[(a + 1) * width + b]!, rests[a * width + b + 1]!);
  return rests;
}

function changesBetween(before: readonly string[], after: readonly string[]): Change[] {
  if (before.length * after.length > MAX_PAIRS)
    return [
      ...before.map((line) => ["-", line] as const),
      ...after.map((line) => ["+", line] as const),
    ];
  const rests = commonRests(before, after);
  const width = after.length + 1;
  const changes: Change[] = [];
  let [a, b] = [0, 0];
  while (a < before.length || b < after.length) {
    if (a < before.length && b < after.length && before[a] === after[b]) {
      changes.push([" ", before[a]!]);
      a += 1;
      b += 1;
    } else if (
      b === after.length ||
      (a < before.length && rests[(a + 1) * width + b]! >= rests[a * width + b + 1]!)
    ) {
      changes.push(["-", before[a]!]);
      a += 1;
    } else {
      changes.push(["+", after[b]!]);
      b += 1;
    }
  }
  return changes;
}

/** What differs, line by line, with what stands around it; `…` stands for what is the same. */
export function difference(before: string, after: string): Line[] {
  const changes = changesBetween(
    before === "" ? [] : before.split("\n"),
    after === "" ? [] : after.split("\n"),
  );
  const isNear = (at: number): boolean =>
    changes.slice(Math.max(0, at - AROUND), at + AROUND + 1).some(([mark]) => mark !== " ");
  return changes.flatMap(([mark, line], at): Line[] => {
    if (!isNear(at)) return isNear(at - 1) && at > 0 ? ["…"] : [];
    const text = `${mark} ${line}`.trimEnd();
    if (mark === " ") return [[text]];
    return [[{ text, tone: mark === "+" ? "good" : "bad" }]];
  });
}
