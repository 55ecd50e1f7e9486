/** What a JSON text holds, with every flaw that JSON.parse would drop in silence. */
export interface JsonText {
  value: unknown;
  problems: string[];
}

const TOKEN =
  /([{}[\],:])|("[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[ !#-[\]-\uffff]*)*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/y;

/** Blanks, and comments as in JavaScript; one that does not end is none. */
const BLANK = /[ \t\r\n]+|\/\/[^\n]*|\/\*[^]*?\*\//y;

/** No config is this deep, and what walks one later may not be made for it. */
const DEEPEST = 64;

class Malformed extends Error {}

/**
 * Reads JSON as people write it by hand: with comments, and a comma behind the last entry. Not
 * JSON.parse, for two more reasons: a key given twice would lose its first value without a word, and
 * the messages of V8 quote the text around a mistake, which may be a secret.
 */
export function readJson(text: string): JsonText {
  const reader = new JsonReader(text);
  try {
    return { value: reader.readAll(), problems: reader.problems };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { value: undefined, problems: [...reader.problems, error.message] };
  }
}

class JsonReader {
  readonly problems: string[] = [];
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The one value that the text holds; throws Malformed for any other text. */
  readAll(): unknown {
    const value = this.#readValue();
    if (this.#skipBlanks() < this.#text.length) this.#fail("expected the end of the file");
    return value;
  }

  #readValue(): unknown {
    const token = this.#peek();
    if (token === "{") return this.#readObject();
    if (token === "[") return this.#readArray();
    if (/^[}\],:]/.test(token)) this.#fail("expected a value");
    return JSON.parse(this.#take());
  }

  #readObject(): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    this.#readItems("}", () => {
      if (!this.#peek().startsWith('"')) this.#fail("expected a key in double quotes");
      const start = this.#at;
      const key = JSON.parse(this.#take()) as string;
      if (entries.has(key)) this.#note(start, "a key is given twice in one object");
      // The schema library skips this one key without a word.
      if (key === "__proto__") this.#note(start, "__proto__ cannot be a key");
      this.#expect(":");
      entries.set(key, this.#readValue());
    });
    return Object.fromEntries(entries);
  }

  #readArray(): unknown[] {
    const list: unknown[] = [];
    this.#readItems("]", () => void list.push(this.#readValue()));
    return list;
  }

  #readItems(close: string, readOne: () => void): void {
    this.#depth += 1;
    if (this.#depth > DEEPEST) this.#fail(`this is nested over ${DEEPEST} levels deep`);
    this.#take();
    while (this.#peek() !== close) {
      readOne();
      if (this.#peek() !== close) this.#expect(",");
    }
    this.#take();
    this.#depth -= 1;
  }

  #expect(mark: string): void {
    if (this.#peek() !== mark) this.#fail(`expected ${mark}`);
    this.#take();
  }

  #take(): string {
    const token = this.#peek();
    if (token === "") this.#fail();
    this.#at += token.length;
    return token;
  }

  #peek(): string {
    TOKEN.lastIndex = this.#skipBlanks();
    return TOKEN.exec(this.#text)?.[0] ?? "";
  }

  /** Where the next token begins. */
  #skipBlanks(): number {
    BLANK.lastIndex = this.#at;
    while (BLANK.test(this.#text)) this.#at = BLANK.lastIndex;
    return this.#at;
  }

  #fail(why = "this is not JSON"): never {
    const reason = this.#text.startsWith("/*", this.#skipBlanks())
      ? "this comment does not end"
      : why;
    throw new Malformed(`${this.#placeOf(this.#at)}: ${reason}`);
  }

  #note(start: number, problem: string): void {
    this.problems.push(`${this.#placeOf(start)}: ${problem}`);
  }

  #placeOf(start: number): string {
    const lines = this.#text.slice(0, start).split("\n");
    return `line ${lines.length}, column ${lines.at(-1)!.length + 1}`;
  }
}
