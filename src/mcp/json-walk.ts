import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  CR,
  LF,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  SPACE,
  TAB,
} from "./bytes.ts";

/** Which members are noted: a tree of their names. */
export interface Names {
  readonly [name: string]: Names;
}

/** Where a value stands, in bytes of the whole text, and what was noted inside of it. */
export interface Place {
  start: number;
  end: number;
  inside: Map<string, Place> | undefined;
  /** A member stands twice in it. The last one counts, as with JSON.parse. */
  repeated: Set<string> | undefined;
}

type Expected = "value" | "value or end" | "key" | "key or end" | "colon" | "comma or end" | "none";

interface Tracked {
  readonly place: Place;
  readonly names: Names;
  readonly depth: number;
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const WORDS = new Map(
  ["true", "false", "null"].map((word) => [word.charCodeAt(0), Buffer.from(word)]),
);
const ZERO = 0x30;
const U = 0x75;
/** What may stand behind a backslash, beside `uXXXX`. */
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'));
const [IN_OBJECT, IN_ARRAY] = [0, 1];
/** No noted name is longer, written with escapes throughout. */
const MAX_NAME_BYTES = 6 * 64;

const isDigit = (byte = 0): boolean => byte >= ZERO && byte <= 0x39;
const isHex = (byte = 0): boolean =>
  isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
/** A digit, `+`, `-`, `.`, `e` or `E`. */
const isOfNumber = (byte = 0): boolean =>
  isDigit(byte) || byte === 0x2b || byte === 0x2d || byte === 0x2e || (byte | 0x20) === 0x65;

/**
 * Checks that bytes are JSON (RFC 8259, exactly what JSON.parse takes) and notes where some members
 * of the top-level object, or of each element of a top-level array, stand.
 *
 * A text of megabytes can be read in slices, where JSON.parse would hold the event loop for as long as
 * it takes, and nothing is built of what nobody asks for.
 */
export class JsonWalk {
  /** The top-level value, or the elements of the top-level array. */
  readonly values: Place[] = [];
  isArray = false;
  readonly #json: Buffer;
  readonly #names: Names;
  readonly #maxValues: number;
  readonly #tracked: Tracked[] = [];
  #kinds = new Uint8Array(64);
  #depth = 0;
  #at = 0;
  #expected: Expected = "value";
  /** Where the string begins that is being read. */
  #string: number | undefined;
  /** Of the value that comes next. */
  #slot: Place | undefined;
  #slotNames: Names | undefined;
  #isBroken = false;

  constructor(json: Buffer, names: Names, maxValues: number) {
    this.#json = json;
    this.#names = names;
    this.#maxValues = maxValues;
  }

  /** Reads on, about this many bytes far. Returns what is known by then: undefined is "not yet". */
  advance(bytes: number): "json" | "not json" | "too many values" | undefined {
    const json = this.#json;
    const until = Math.min(json.length, this.#at + bytes);
    while (this.#at < until && !this.#isBroken) {
      if (this.#string !== undefined) {
        this.#readString(until);
        continue;
      }
      const byte = json[this.#at]!;
      if (byte === SPACE || byte === LF || byte === CR || byte === TAB) this.#at += 1;
      else this.#token(byte);
      if (this.values.length > this.#maxValues) return "too many values";
    }
    if (this.#isBroken) return "not json";
    if (this.#at < json.length) return undefined;
    return this.#expected === "none" && this.#string === undefined ? "json" : "not json";
  }

  #token(byte: number): void {
    const expected = this.#expected;
    switch (byte) {
      case QUOTE:
        if (expected !== "key" && expected !== "key or end") {
          if (!this.#beginValue()) return;
        }
        this.#string = this.#at;
        this.#at += 1;
        return;
      case OPEN_BRACE:
        return this.#open(IN_OBJECT, "key or end");
      case OPEN_BRACKET:
        return this.#open(IN_ARRAY, "value or end");
      case CLOSE_BRACE:
        return this.#close(IN_OBJECT, "key or end");
      case CLOSE_BRACKET:
        return this.#close(IN_ARRAY, "value or end");
      case COLON:
        if (expected !== "colon") return this.#fail();
        this.#expected = "value";
        this.#at += 1;
        return;
      case COMMA:
        if (expected !== "comma or end") return this.#fail();
        this.#expected = this.#kinds[this.#depth - 1] === IN_OBJECT ? "key" : "value";
        this.#at += 1;
        return;
      default:
        return this.#literal();
    }
  }

  #fail(): void {
    this.#isBroken = true;
  }

  /** False where no value may stand. */
  #beginValue(): boolean {
    if (this.#expected !== "value" && this.#expected !== "value or end") {
      this.#fail();
      return false;
    }
    const isTop = this.#depth === 0 || (this.#depth === 1 && this.isArray);
    if (isTop) {
      this.#slot = newPlace();
      this.#slotNames = this.#names;
      this.values.push(this.#slot);
    }
    if (this.#slot !== undefined) this.#slot.start = this.#at;
    return true;
  }

  #endValue(place: Place | undefined): void {
    if (place !== undefined) place.end = this.#at;
    this.#slot = undefined;
    this.#expected = this.#depth === 0 ? "none" : "comma or end";
  }

  #open(kind: number, expected: Expected): void {
    if (this.#depth === 0 && kind === IN_ARRAY && this.#expected === "value") this.isArray = true;
    else if (!this.#beginValue()) return;
    if (this.#depth === this.#kinds.length) {
      const more = new Uint8Array(this.#kinds.length * 2);
      more.set(this.#kinds);
      this.#kinds = more;
    }
    this.#kinds[this.#depth] = kind;
    this.#depth += 1;
    const place = this.#slot;
    if (place !== undefined) {
      const names = kind === IN_OBJECT ? this.#slotNames! : {};
      if (kind === IN_OBJECT) place.inside = new Map();
      this.#tracked.push({ place, names, depth: this.#depth });
    }
    this.#slot = undefined;
    this.#expected = expected;
    this.#at += 1;
  }

  #close(kind: number, expected: Expected): void {
    const isDue = this.#expected === "comma or end" || this.#expected === expected;
    if (!isDue || this.#depth === 0 || this.#kinds[this.#depth - 1] !== kind) return this.#fail();
    const isTracked = this.#tracked.at(-1)?.depth === this.#depth;
    const place = isTracked ? this.#tracked.pop()!.place : undefined;
    this.#depth -= 1;
    this.#at += 1;
    this.#endValue(place);
  }

  #literal(): void {
    if (!this.#beginValue()) return;
    const json = this.#json;
    const start = this.#at;
    const word = WORDS.get(json[start]!);
    if (word !== undefined) {
      for (let i = 0; i < word.length; i++) if (json[start + i] !== word[i]) return this.#fail();
      this.#at = start + word.length;
    } else {
      let end = start;
      let isInteger = json[start] !== ZERO;
      for (; isOfNumber(json[end]); end++) isInteger &&= isDigit(json[end]);
      // Digits alone are the rule, and are judged without a look at them as text.
      if (!(isInteger && end > start) && !NUMBER.test(json.toString("latin1", start, end)))
        return this.#fail();
      this.#at = end;
    }
    this.#endValue(this.#slot);
  }

  #readString(until: number): void {
    const json = this.#json;
    let at = this.#at;
    while (at < until) {
      const byte = json[at]!;
      if (byte === QUOTE) {
        this.#at = at + 1;
        return this.#endString();
      }
      if (byte < SPACE) return this.#fail();
      if (byte !== BACKSLASH) at += 1;
      else if (json[at + 1] !== U) {
        if (!ESCAPED.has(json[at + 1] ?? 0)) return this.#fail();
        at += 2;
      } else {
        for (let i = 2; i < 6; i++) if (!isHex(json[at + i])) return this.#fail();
        at += 6;
      }
    }
    this.#at = at;
  }

  #endString(): void {
    const start = this.#string!;
    this.#string = undefined;
    if (this.#expected !== "key" && this.#expected !== "key or end")
      return this.#endValue(this.#slot);
    this.#expected = "colon";
    const owner = this.#tracked.at(-1);
    if (owner?.depth === this.#depth && this.#at - start <= MAX_NAME_BYTES)
      this.#note(owner, JSON.parse(this.#json.toString("utf8", start, this.#at)) as string);
  }

  #note({ place, names }: Tracked, name: string): void {
    if (!Object.hasOwn(names, name)) return;
    if (place.inside!.has(name)) (place.repeated ??= new Set()).add(name);
    this.#slot = newPlace();
    this.#slotNames = names[name]!;
    place.inside!.set(name, this.#slot);
  }
}

const newPlace = (): Place => ({ start: 0, end: 0, inside: undefined, repeated: undefined });
