import { readJson } from "./json.ts";
import { formatProblem } from "./problems.ts";
import type { Problem } from "./problems.ts";

// What the entries that people have hold beside ours: the words of other programs, all in this place.

/** Other programs' names for Streamable HTTP, beside our "http". */
export const HTTP_NAMES = ["streamable-http", "streamableHttp"] as const;

/** The transport that a name means, in our words. */
export function transportNamed<Name extends string>(
  name: Name,
): Exclude<Name, (typeof HTTP_NAMES)[number]> | "http" {
  type Ours = Exclude<Name, (typeof HTTP_NAMES)[number]>;
  return (HTTP_NAMES as readonly string[]).includes(name) ? "http" : (name as Ours);
}

/** How their clients ask, wait and look: without meaning for a server of many users, so nothing is lost with them. */
export const PASSED_OVER_KEYS = [
  "autoApprove",
  "alwaysAllow",
  "timeout",
  "description",
  "icon",
] as const;

/** What they forbid would be allowed here without a word, so these stay errors. */
export const RESTRICTING_KEYS = [
  "disabledTools",
  "enabledTools",
  "includeTools",
  "excludeTools",
] as const;
export const RESTRICTS =
  "keeps tools back elsewhere and cannot here: take it out, if users may call all tools of the server";

/** The name under which other programs' files have their entries. */
const PASTED = "mcpServers";
const TAKE_OVER =
  'the entries of such a file belong under "servers": rename this key, and they are read as they are; where one has a personal token in "env", write "tokenEnv" with the name of that variable instead, and `mcp-supervisor token set` gives each user a value';

type Entries = Record<string, unknown>;

/**
 * A whole file of another program: the config that it means, so that all else that is wrong with it is
 * told in the same go, and the problems of that one as the file has it.
 */
export function readPasted(value: unknown): {
  config: unknown;
  toFile: (problems: Problem[]) => Problem[];
} {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, PASTED))
    return { config: value, toFile: (problems) => problems };
  const { [PASTED]: entries, ...rest } = value as Entries;
  const isAlone = rest["servers"] === undefined;
  const renamed = ({ path: [first, ...more], message }: Problem): Problem => ({
    path:
      isAlone && first === "servers"
        ? [PASTED, ...more]
        : first === undefined
          ? []
          : [first, ...more],
    message,
  });
  return {
    config: isAlone ? { ...rest, servers: entries } : rest,
    toFile: (problems) => [{ path: [PASTED], message: TAKE_OVER }, ...problems.map(renamed)],
  };
}

/** The keys of the servers that are passed over, a problem for each: nothing to refuse the file for. */
export function passedOver(servers: Readonly<Record<string, object>>): Problem[] {
  return Object.entries(servers).flatMap(([name, entry]) =>
    PASSED_OVER_KEYS.filter((key) => Object.hasOwn(entry, key)).map((key) => ({
      path: ["servers", name, key],
      message: "is another program's key, and has no effect here",
    })),
  );
}

/** Where other programs put in what they ask their user for, or have in their environment. */
const ASKED = /\$\{(?:input|env):[^}]*\}/g;
const ENTRIES = [PASTED, "servers"] as const;

const isObject = (value: unknown): value is Entries =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * The servers in a file of another program (`mcpServers` of Claude and Cursor, `servers` of VS Code), by
 * name, as entries of ours. What its user would be asked for is each user's own token here, where it
 * stands in an `Authorization` header; elsewhere it is a problem, and so is a file with no server.
 */
export function readForeign(value: unknown): {
  servers: Record<string, Entries>;
  problems: Problem[];
} {
  const problems: Problem[] = [];
  const found = new Map<string, Entries>();
  const keys = isObject(value) ? ENTRIES.filter((key) => isObject(value[key])) : [];
  for (const key of keys) {
    const entries = (value as Entries)[key] as Entries;
    for (const [name, entry] of Object.entries(entries)) {
      const refuse = (path: readonly PropertyKey[], message: string): void =>
        void problems.push({ path: [key, name, ...path], message });
      if (!isObject(entry)) refuse([], "must be an object");
      else if (found.has(name)) refuse([], "is there twice");
      else found.set(name, withTokens(entry, refuse));
    }
  }
  if (found.size === 0 && problems.length === 0)
    problems.push({ path: [], message: `holds no server under ${ENTRIES.join(" or ")}` });
  return { servers: Object.fromEntries(found), problems };
}

/** As `readForeign`, of the text of such a file; its problems as lines. */
export function readForeignText(text: string): {
  servers: Record<string, Entries>;
  problems: string[];
} {
  const { value, problems } = readJson(text);
  if (problems.length > 0) return { servers: {}, problems };
  const { servers, problems: found } = readForeign(value);
  return { servers, problems: found.map(formatProblem) };
}

type Refuse = (path: readonly PropertyKey[], message: string) => void;

function withTokens(entry: Entries, refuse: Refuse): Entries {
  const translated = (value: unknown, path: readonly PropertyKey[]): unknown => {
    if (Array.isArray(value)) return value.map((item, index) => translated(item, [...path, index]));
    if (isObject(value))
      return Object.fromEntries(
        Object.entries(value).map(([key, inner]) => [key, translated(inner, [...path, key])]),
      );
    if (typeof value !== "string" || value.search(ASKED) === -1) return value;
    const [first, name] = path;
    if (first === "headers" && /^authorization$/i.test(String(name)))
      return value.replaceAll(ASKED, "${token}");
    refuse(
      path,
      "holds an ${input:…} or ${env:…}, which is taken in an Authorization header only, for the user's own token: write the value itself",
    );
    return value;
  };
  return translated(entry, []) as Entries;
}
