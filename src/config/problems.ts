import type { z } from "zod";
import { nearest } from "./nearest.ts";

export interface Problem {
  path: readonly PropertyKey[];
  message: string;
}

type Issues = readonly z.core.$ZodIssue[];

/** The part of JSON Schema that leads from a path to the keys known there. */
interface SchemaNode {
  properties?: Record<string, SchemaNode>;
  additionalProperties?: SchemaNode | boolean;
  items?: SchemaNode;
  anyOf?: SchemaNode[];
  oneOf?: SchemaNode[];
}

const TYPE_NAMES: Record<string, string> = {
  int: "a whole number",
  number: "a number",
  string: "a string",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

/** What is said of a flaw that has no words of its own in the schema. Never repeats the value: it may be a secret. */
export function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === "invalid_type")
    return issue.input === undefined
      ? "is missing"
      : `must be ${TYPE_NAMES[issue.expected] ?? issue.expected}`;
  if (issue.code === "invalid_value")
    return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
  if (issue.code === "too_small") return `must be at least ${issue.minimum}`;
  if (issue.code === "too_big") return `must be at most ${issue.maximum}`;
  return undefined;
}

/** The issues of a parse as one problem each, and a likely key for each one that looks mistyped. */
export function toProblems(issues: Issues, schema: object): Problem[] {
  return issues.flatMap((issue) => flatten(issue, [], schema as SchemaNode));
}

function flatten(
  issue: z.core.$ZodIssue,
  above: readonly PropertyKey[],
  schema: SchemaNode,
): Problem[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => {
      const known = knownKeys(schema, path);
      if (known.includes(key)) return { path: [...path, key], message: "is a key of another kind" };
      const meant = nearest(key, known);
      const hint = meant === undefined ? "" : `, did you mean "${meant}"?`;
      return { path: [...path, key], message: `is not a known key${hint}` };
    });
  if (issue.code === "invalid_key") return issue.issues.map(({ message }) => ({ path, message }));
  if (issue.code === "invalid_union") {
    const branch = likeliest(issue.errors);
    if (branch !== undefined) return branch.flatMap((inner) => flatten(inner, path, schema));
  }
  return [{ path, message: issue.message }];
}

/** The branch of a union that was meant: one whose type fits, and of those the one whose keys fit best. */
function likeliest(branches: readonly Issues[]): Issues | undefined {
  return branches.filter(fitsType).toSorted((a, b) => misfits(a) - misfits(b))[0];
}

function fitsType(issues: Issues): boolean {
  return !issues.some(
    ({ code, path }) => path.length === 0 && (code === "invalid_type" || code === "invalid_value"),
  );
}

/** How many keys are missing, unknown or of a type that is not allowed there. */
function misfits(issues: Issues): number {
  let sum = 0;
  for (const issue of issues) {
    if (issue.code === "unrecognized_keys") sum += issue.keys.length;
    else if (issue.path.length === 1 && /^invalid_(?:type|value)$/.test(issue.code ?? "")) sum += 1;
  }
  return sum;
}

function knownKeys(schema: SchemaNode, path: readonly PropertyKey[]): string[] {
  const alternatives = (node: SchemaNode): SchemaNode[] => [
    node,
    ...[...(node.anyOf ?? []), ...(node.oneOf ?? [])].flatMap(alternatives),
  ];
  let nodes = alternatives(schema);
  for (const key of path) {
    nodes = nodes.flatMap((node) => {
      const { additionalProperties: rest } = node;
      const next =
        typeof key === "number"
          ? node.items
          : (node.properties?.[String(key)] ?? (typeof rest === "object" ? rest : undefined));
      return next === undefined ? [] : alternatives(next);
    });
  }
  return nodes.flatMap((node) => Object.keys(node.properties ?? {}));
}

/** A problem as a line `path: message`, safe on a terminal whatever the keys are. */
export function formatProblem({ path, message }: Problem): string {
  if (path.length === 0) return `config: ${message}`;
  let place = "";
  for (const key of path) {
    if (typeof key === "number") place += `[${key}]`;
    else if (/^[\w$-]{1,64}$/.test(String(key)))
      place += `${place === "" ? "" : "."}${String(key)}`;
    else place += `[${quoted(String(key))}]`;
  }
  return `${place}: ${message}`;
}

/** Look-alike letters and control characters are written out: seen as they are they would mislead. */
function quoted(key: string): string {
  const start = key.length > 64 ? `${key.slice(0, 64)}…` : key;
  return JSON.stringify(start).replaceAll(
    /[^\x20-\x7e…]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
