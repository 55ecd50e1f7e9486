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
  const problems: string[] = [];
  let at = 0;
  let depth = 0;

  /** Where the next token begins. */
  const skip = (): number => {
    BLANK.lastIndex = at;
    while (BLANK.test(text)) at = BLANK.lastIndex;
    return at;
  };
  const peek = (): string => {
    TOKEN.lastIndex = skip();
    return TOKEN.exec(text)?.[0] ?? "";
  };
  const take = (): string => {
    const token = peek();
    if (token === "") fail();
    at += token.length;
    return token;
  };
  const expect = (mark: string): void => {
    if (peek() !== mark) fail(`expected ${mark}`);
    take();
  };
  const place = (start: number): string => {
    const lines = text.slice(0, start).split("\n");
    return `line ${lines.length}, column ${lines.at(-1)!.length + 1}`;
  };
  const fail = (why = "this is not JSON"): never => {
    const reason = text.startsWith("/*", skip()) ? "this comment does not end" : why;
    throw new Malformed(`${place(at)}: ${reason}`);
  };

  const items = (close: string, one: () => void): void => {
    depth += 1;
    if (depth > DEEPEST) fail(`this is nested over ${DEEPEST} levels deep`);
    take();
    while (peek() !== close) {
      one();
      if (peek() !== close) expect(",");
    }
    take();
    depth -= 1;
  };
  const object = (): Record<string, unknown> => {
    const entries = new Map<string, unknown>();
    items("}", () => {
      if (!peek().startsWith('"')) fail("expected a key in double quotes");
      const start = at;
      const key = JSON.parse(take()) as string;
      if (entries.has(key)) problems.push(`${place(start)}: a key is given twice in one object`);
      // The schema library skips this one key without a word.
      if (key === "__proto__") problems.push(`${place(start)}: __proto__ cannot be a key`);
      expect(":");
      entries.set(key, read());
    });
    return Object.fromEntries(entries);
  };
  const array = (): unknown[] => {
    const list: unknown[] = [];
    items("]", () => void list.push(read()));
    return list;
  };
  const read = (): unknown => {
    const token = peek();
    if (token === "{") return object();
    if (token === "[") return array();
    if (/^[}\],:]/.test(token)) fail("expected a value");
    return JSON.parse(take());
  };

  try {
    const value = read();
    if (skip() < text.length) fail("expected the end of the file");
    return { value, problems };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { value: undefined, problems: [...problems, error.message] };
  }
}
