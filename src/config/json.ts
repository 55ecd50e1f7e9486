/** What a JSON text holds, with every flaw that JSON.parse would drop in silence. */
export interface JsonText {
  value: unknown;
  problems: string[];
}

const TOKEN =
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

class Malformed extends Error {}

/**
 * Reads strict JSON. Not JSON.parse, for two reasons: a key given twice would lose its first value
 * without a word, and the messages of V8 quote the text around a mistake, which may be a secret.
 */
export function readJson(text: string): JsonText {
  const problems: string[] = [];
  let at = 0;

  const peek = (): string => {
    TOKEN.lastIndex = at;
    return TOKEN.exec(text)?.[0].trimStart() ?? "";
  };
  const take = (): string => {
    const token = peek();
    if (token === "") fail();
    at = TOKEN.lastIndex;
    return token;
  };
  const expect = (mark: string): void => {
    if (peek() !== mark) fail(`expected ${mark}`);
    take();
  };
  const place = (from: number): string => {
    const gap = /^[ \t\r\n]*/.exec(text.slice(from))![0].length;
    const lines = text.slice(0, from + gap).split("\n");
    return `line ${lines.length}, column ${lines.at(-1)!.length + 1}`;
  };
  const fail = (why = "this is not JSON"): never => {
    const reason = /^[ \t\r\n]*\//.test(text.slice(at)) ? "JSON has no comments" : why;
    throw new Malformed(`${place(at)}: ${reason}`);
  };

  const items = (close: string, one: () => void): void => {
    take();
    if (peek() === close) return void take();
    for (;;) {
      one();
      if (peek() === close) return void take();
      expect(",");
    }
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
    if (text.slice(at).trim() !== "") fail("expected the end of the file");
    return { value, problems };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { value: undefined, problems: [...problems, error.message] };
  }
}
