import { LongText } from "../mcp/long-text.ts";
import type { Text } from "../mcp/long-text.ts";
import type { ChildPipes } from "./stdio-pipe.ts";

/** The longest number of ours as text, and more. */
const MAX_TEXT = 16;

/** Daemons before and after this one number otherwise: so many of them in a row, with so many numbers each. */
const EPOCHS = 2 ** 21;
const NUMBERS = 2 ** 32;

/** Where a daemon of that epoch begins to count, for a child that an earlier one has asked something. */
export const numbersOf = (epoch: number): number => (epoch % EPOCHS) * NUMBERS;

/** The numbers by which a child knows what it is asked: for its clients, or by the gateway itself. */
export class OwnIds {
  readonly #onFault: ChildPipes["onFault"];
  #last = 0;
  #hasStrayed = false;

  /** `before`: those up to that one are another daemon's. */
  constructor(onFault: ChildPipes["onFault"], before = 0) {
    this.#onFault = onFault;
    this.#last = before;
  }

  next(): number {
    this.#last += 1;
    return this.#last;
  }

  /**
   * The child answered what nobody waits for. That is its fault, told once, where it was never asked;
   * what was asked may have been cancelled since.
   */
  unclaimed(id: number | undefined, raw: Text): void {
    const wasAsked = id !== undefined && Number.isInteger(id) && id >= 0 && id <= this.#last;
    if (wasAsked || this.#hasStrayed) return;
    this.#hasStrayed = true;
    this.#onFault("an answer to what it was never asked", headOf(raw));
  }
}

/**
 * Which number of ours a child gives back as an id or a token. Some write it as text, which can mean
 * nothing else: no number but ours was given to them.
 */
export function numberOf(given: unknown): number | undefined {
  if (typeof given === "number") return given;
  if (typeof given !== "string" || given.length > MAX_TEXT) return undefined;
  const number = Number(given);
  return String(number) === given ? number : undefined;
}

/** The same for an id as `canonicalId` has it. */
export const numberIn = (id: string | undefined): number | undefined =>
  id === undefined ? undefined : numberOf(id.startsWith('"') ? id.slice(1, -1) : Number(id));

/** As much of the text as lies in one piece. */
export const headOf = (raw: Text): Buffer | undefined =>
  raw instanceof LongText ? raw.parts[0] : raw;
