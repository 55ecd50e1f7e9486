/** Edits from one word to the other, where two neighbours that changed places count as one (optimal string alignment). */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(substitution, last[j]! + 1, row[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, beforeLast[j - 2]! + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

const folded = (word: string): string => word.toLowerCase().replaceAll(/[_-]/g, "");

/** The known word that a mistyped one most likely stands for, if one is close: a third of its letters may differ. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  // Nothing this long is a typo of a key, and the table below would grow with it.
  if (word.length > 40) return undefined;
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of known) {
    const edits = distance(folded(word), folded(candidate));
    if (edits < bestDistance && edits <= Math.max(1, Math.floor(candidate.length / 3))) {
      best = candidate;
      bestDistance = edits;
    }
  }
  return best;
}
