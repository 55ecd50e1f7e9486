import { el } from "../shared/dom.ts";
import { createForm } from "../shared/form.ts";
import type { Field, Shape } from "../shared/schema.ts";
import type { Context, Word } from "./context.ts";
import type { ShownServer } from "./types.ts";

type Values = Record<string, unknown>;

/** A variable of the environment; a stored value is not known here. */
interface Variable {
  readonly name: string;
  readonly value?: string;
}

const TRANSPORTS = ["stdio", "sse", "http"];

/** The keys of a program that have fields, in their order; all others are JSON. */
export const PROGRAM_FIELDS = [
  "type",
  "command",
  "args",
  "cwd",
  "path",
  "env",
  "tokenEnv",
] as const;
type Key = (typeof PROGRAM_FIELDS)[number];

const HINTS: Readonly<Record<Key, Word>> = {
  type: "programType",
  command: "programCommand",
  args: "programArgs",
  cwd: "programCwd",
  path: "programPath",
  env: "programEnv",
  tokenEnv: "programTokenEnv",
};

const BARE = { title: undefined, description: undefined, preset: undefined };

/** As the config calls them, and as a form asks for them. */
function shapesFor({ say }: Context): Field[] {
  const text: Shape = { ...BARE, kind: "string", format: undefined };
  const description = say("programValue");
  const value: Shape = { ...BARE, description, kind: "string", format: "password" };
  const choices = TRANSPORTS.map((name) => JSON.stringify(name));
  const variable: Shape = {
    ...BARE,
    kind: "object",
    fields: [
      { name: "name", shape: text, isRequired: true },
      { name: "value", shape: value, isRequired: false },
    ],
  };
  const shapes: Partial<Record<Key, Shape>> = {
    type: { ...BARE, kind: "choice", choices },
    args: { ...BARE, kind: "list", item: text },
    env: { ...BARE, kind: "list", item: variable },
  };
  return PROGRAM_FIELDS.map((name) => ({
    name,
    shape: { ...(shapes[name] ?? text), description: say(HINTS[name]) },
    isRequired: name === "command",
  }));
}

/** Of stored variables the names, and null in the place of each value. */
const storedIn = (entry: Values): Record<string, null> =>
  (entry["env"] as Record<string, null> | undefined) ?? {};

/** What the daemon is told of the environment: null, for "as it is", where a stored value was left alone. */
function environmentOf(variables: readonly Variable[], stored: object): Values {
  return Object.fromEntries(
    variables.map(({ name, value }) => [name, value ?? (Object.hasOwn(stored, name) ? null : "")]),
  );
}

const isSame = (one: unknown, other: unknown): boolean =>
  JSON.stringify(one) === JSON.stringify(other);

/**
 * The fields of a program, filled with what is stored, and what of it was changed: a key that was emptied
 * is null. `changes` throws a FormFlaw for what cannot be sent.
 */
export function programFields(
  context: Context,
  { server, isFixed }: { server: ShownServer | undefined; isFixed: boolean },
): { element: HTMLElement; changes: () => Values } {
  const entry: Values = server ?? {};
  const stored = storedIn(entry);
  const env = Object.keys(stored).map((name): Variable => ({ name }));
  const shape: Shape = {
    ...BARE,
    kind: "object",
    fields: shapesFor(context),
  };
  const form = createForm(shape, context.say, { ...entry, env });
  const element = el("fieldset", { id: "program", disabled: isFixed });
  element.append(el("legend", {}, context.say("program")), form.element);
  const changes = (): Values => {
    const said = JSON.parse(form.read()!) as Values;
    const now: Values = { ...said, env: environmentOf((said["env"] ?? []) as Variable[], stored) };
    const before: Values = { ...entry, env: stored };
    return Object.fromEntries(
      PROGRAM_FIELDS.filter((key) => !isSame(now[key], before[key])).map((key) => [
        key,
        now[key] ?? null,
      ]),
    );
  };
  return { element, changes };
}
