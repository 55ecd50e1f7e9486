/** How many characters at the end of the window decide how far it moves on. */
const BLOCK = 3;
const TABLE_SIZE = 2 ** 16;
/** Fewer characters of a pattern at the end of a text are chance, and give nothing away. */
const HEAD = 4;

function slotOf(text: string, end: number): number {
  const block =
    text.charCodeAt(end) + (text.charCodeAt(end - 1) << 5) + (text.charCodeAt(end - 2) << 10);
  return (block ^ (block >> 7)) & (TABLE_SIZE - 1);
}

/**
 * Finds many strings in a text at once (Wu and Manber, 1994): a window moves over the text, mostly by
 * nearly its own length, so that the time hardly depends on how many strings there are. Strings come
 * and go one by one, because a child that starts must not wait until all of them are learnt again.
 */
export class Matcher {
  readonly #window: number;
  /** How far the window may move, by the characters at its end. Too short only costs time. */
  readonly #shifts: Uint8Array;
  /** The patterns whose first window ends with these characters, longest first. */
  readonly #candidates = new Map<number, string[]>();
  /** By their first characters, for what was cut off. */
  readonly #heads = new Map<string, Set<string>>();
  /** How often each was added and not deleted. */
  readonly #patterns = new Map<string, number>();

  /** No pattern may be shorter than `window`. */
  constructor(window: number) {
    this.#window = window;
    this.#shifts = new Uint8Array(TABLE_SIZE).fill(window - BLOCK + 1);
  }

  add(pattern: string): void {
    const count = this.#patterns.get(pattern) ?? 0;
    this.#patterns.set(pattern, count + 1);
    if (count > 0) return;
    for (let end = BLOCK - 1; end < this.#window; end += 1) {
      const slot = slotOf(pattern, end);
      this.#shifts[slot] = Math.min(this.#shifts[slot]!, this.#window - 1 - end);
    }
    const head = pattern.slice(0, HEAD);
    this.#heads.set(head, (this.#heads.get(head) ?? new Set()).add(pattern));
    const slot = slotOf(pattern, this.#window - 1);
    const found = [...(this.#candidates.get(slot) ?? []), pattern];
    this.#candidates.set(
      slot,
      found.toSorted((a, b) => b.length - a.length),
    );
  }

  delete(pattern: string): void {
    const count = this.#patterns.get(pattern) ?? 0;
    if (count > 1) this.#patterns.set(pattern, count - 1);
    if (count !== 1) return;
    this.#patterns.delete(pattern);
    const head = pattern.slice(0, HEAD);
    const others = this.#heads.get(head);
    others?.delete(pattern);
    if (others?.size === 0) this.#heads.delete(head);
    const slot = slotOf(pattern, this.#window - 1);
    const found = this.#candidates.get(slot)?.filter((other) => other !== pattern) ?? [];
    if (found.length === 0) this.#candidates.delete(slot);
    else this.#candidates.set(slot, found);
  }

  /** The text with `by` in place of every pattern in it. */
  replace(text: string, by: string): string {
    if (this.#patterns.size === 0) return text;
    const shifts = this.#shifts;
    let clean = "";
    let kept = 0;
    let end = this.#window - 1;
    while (end < text.length) {
      const slot = slotOf(text, end);
      const shift = shifts[slot]!;
      if (shift > 0) {
        end += shift;
        continue;
      }
      const start = end - this.#window + 1;
      const found = this.#candidates.get(slot)?.find((pattern) => text.startsWith(pattern, start));
      if (found === undefined) {
        end += 1;
        continue;
      }
      clean += text.slice(kept, start) + by;
      kept = start + found.length;
      end = kept + this.#window - 1;
    }
    return kept === 0 ? text : clean + text.slice(kept);
  }

  /** The text with `by` in place of what may be the beginning of a pattern at its very end. */
  replaceCut(text: string, by: string): string {
    for (let start = 0; start <= text.length - HEAD; start += 1) {
      const head = this.#heads.get(text.slice(start, start + HEAD));
      if (head === undefined) continue;
      const end = text.slice(start);
      for (const pattern of head) if (pattern.startsWith(end)) return text.slice(0, start) + by;
    }
    return text;
  }
}
