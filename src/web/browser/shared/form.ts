import { add, button, el, labelled, newId, redraw } from "./dom.ts";
import { foreign } from "./foreign.ts";
import { inert } from "./inert.ts";
import type { Field, Shape } from "./schema.ts";

/** The words of a form. */
export type FormWord =
  | "formRequired"
  | "formNotJson"
  | "formNotNumber"
  | "formNotGiven"
  | "formAdd"
  | "formRemove"
  | "formVariant"
  | "formOptional";
export type FormSay = (key: FormWord, values?: Readonly<Record<string, string | number>>) => string;

/** What a part of a form holds as JSON text, undefined for nothing; throws a FormFlaw. */
interface Part {
  readonly element: HTMLElement;
  read(): string | undefined;
}

/** Why a form cannot be sent. The field has the focus then. */
export class FormFlaw extends Error {}

/** What is cut of a name that a label shows. */
const isNumber = (text: string): boolean =>
  /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text);
const MAX_ITEMS = 200;

/** The form for a shape, filled with `given` where that is JSON of its kind. `read` gives JSON text: numbers stay as they were typed. */
export function createForm(shape: Shape, say: FormSay, given?: unknown): Part {
  return partOf({ shape, say, isRequired: true, given, name: "" });
}

interface Wanted {
  readonly shape: Shape;
  readonly say: FormSay;
  readonly isRequired: boolean;
  readonly given: unknown;
  readonly name: string;
}

function partOf(wanted: Wanted): Part {
  const { shape } = wanted;
  switch (shape.kind) {
    case "object":
      return objectPart(wanted, shape.fields);
    case "list":
      return listPart(wanted, shape.item);
    case "variants":
      return variantsPart(wanted, shape.variants);
    case "choice":
      return choicePart(wanted, shape.choices);
    case "boolean":
      return choicePart(wanted, ["true", "false"]);
    case "string":
    case "number":
    case "json":
      return typedPart(wanted);
  }
}

/** What the field begins with: what was given, else the schema's default. */
function startOf({ given, shape }: Wanted): unknown {
  if (given !== undefined || shape.preset === undefined) return given;
  return JSON.parse(shape.preset) as unknown;
}

function titleOf({ shape, name, isRequired, say }: Wanted): HTMLElement {
  const title = el("span", {}, foreign(shape.title ?? name));
  if (shape.title !== undefined && shape.title !== name)
    add(title, " ", el("code", {}, foreign(name)));
  if (!isRequired) add(title, " ", el("span", { class: "quiet" }, say("formOptional")));
  return title;
}

const hintOf = ({ shape }: Wanted): HTMLElement | undefined =>
  shape.description === undefined
    ? undefined
    : el("bdi", { class: "foreign" }, inert(shape.description.slice(0, 1_000)));

function flawed(field: HTMLElement, message: string): never {
  field.setAttribute("aria-invalid", "true");
  field.focus();
  throw new FormFlaw(message);
}

function typedPart(wanted: Wanted): Part {
  const { shape, say, isRequired, name } = wanted;
  const start = startOf(wanted);
  const isText = shape.kind === "string";
  const value = typeof start === "string" && isText ? start : jsonText(start);
  const isLong = shape.kind === "json" || value.includes("\n") || value.length > 80;
  const field = isLong
    ? el("textarea", { rows: shape.kind === "json" ? "6" : "4", spellcheck: "false", value })
    : el("input", { autocomplete: "off", spellcheck: "false", value, ...kindOf(shape) });
  const read = (): string | undefined => {
    field.setAttribute("aria-invalid", "false");
    const text = isText ? field.value : field.value.trim();
    if (text === "") {
      if (!isRequired) return undefined;
      if (isText) return '""';
      return flawed(field, say("formRequired", { name }));
    }
    if (isText) return JSON.stringify(text);
    if (shape.kind === "number")
      return isNumber(text) ? text : flawed(field, say("formNotNumber", { name }));
    return isJson(text) ? text : flawed(field, say("formNotJson", { name }));
  };
  return { element: labelled(titleOf(wanted), field, hintOf(wanted)), read };
}

function kindOf(shape: Shape): { type: string; inputmode?: string } {
  if (shape.kind === "number")
    return { type: "text", inputmode: shape.isInteger ? "numeric" : "decimal" };
  return { type: shape.kind === "string" && shape.format === "password" ? "password" : "text" };
}

const jsonText = (value: unknown): string =>
  value === undefined ? "" : JSON.stringify(value, null, 2);

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function choicePart(wanted: Wanted, choices: readonly string[]): Part {
  const { say, isRequired } = wanted;
  const start = startOf(wanted);
  const chosen = start === undefined ? -1 : choices.indexOf(JSON.stringify(start));
  const field = el("select");
  if (!isRequired) add(field, el("option", { value: "" }, say("formNotGiven")));
  choices.forEach((choice, at) => {
    const label = inert(choice.startsWith('"') ? (JSON.parse(choice) as string) : choice);
    add(field, el("option", { value: String(at), selected: at === chosen }, label.slice(0, 200)));
  });
  const read = (): string | undefined =>
    field.value === "" ? undefined : choices[Number(field.value)];
  return { element: labelled(titleOf(wanted), field, hintOf(wanted)), read };
}

function groupOf(wanted: Wanted, ...inside: HTMLElement[]): HTMLElement {
  if (wanted.name === "") return el("div", {}, ...inside);
  const hint = hintOf(wanted);
  return el("fieldset", {}, el("legend", {}, titleOf(wanted)), hint, ...inside);
}

function objectPart(wanted: Wanted, fields: readonly Field[]): Part {
  const start = startOf(wanted);
  const from = (name: string): unknown =>
    typeof start === "object" && start !== null && Object.hasOwn(start, name)
      ? (start as Record<string, unknown>)[name]
      : undefined;
  const parts = fields.map(({ name, shape, isRequired }) => ({
    name,
    part: partOf({
      ...wanted,
      name: name === "" ? " " : name,
      shape,
      isRequired,
      given: from(name),
    }),
  }));
  const read = (): string | undefined => {
    const pairs = parts.flatMap(({ name, part }) => {
      const text = part.read();
      return text === undefined ? [] : [`${JSON.stringify(name)}:${text}`];
    });
    return pairs.length === 0 && !wanted.isRequired ? undefined : `{${pairs.join(",")}}`;
  };
  return { element: groupOf(wanted, ...parts.map(({ part }) => part.element)), read };
}

function listPart(wanted: Wanted, item: Shape): Part {
  const { say, name } = wanted;
  const parts: Part[] = [];
  const rows = el("div");
  const more = button(say("formAdd", { name }), () => addItem(undefined));
  const draw = (): void => {
    const drawn = parts.map((part) =>
      el(
        "div",
        { class: "item" },
        part.element,
        button(say("formRemove"), () => {
          parts.splice(parts.indexOf(part), 1);
          draw();
          more.focus();
        }),
      ),
    );
    redraw(rows, ...drawn);
    more.disabled = parts.length >= MAX_ITEMS;
  };
  const addItem = (given: unknown): void => {
    const place = `${name} ${parts.length + 1}`;
    parts.push(partOf({ shape: item, say, name: place, isRequired: true, given }));
    draw();
  };
  const start = startOf(wanted);
  for (const given of Array.isArray(start) ? start.slice(0, MAX_ITEMS) : []) addItem(given);
  const read = (): string | undefined => {
    if (parts.length === 0 && !wanted.isRequired) return undefined;
    return `[${parts.map((part) => part.read() ?? "null").join(",")}]`;
  };
  return { element: groupOf(wanted, rows, more), read };
}

function variantsPart(wanted: Wanted, variants: readonly Shape[]): Part {
  const { say, name } = wanted;
  const inside = el("div");
  const select = el("select", { id: newId("variant") });
  variants.forEach((variant, at) => {
    const label = inert(variant.title ?? say("formVariant", { number: at + 1 }));
    add(select, el("option", { value: String(at) }, label.slice(0, 200)));
  });
  let part: Part;
  const choose = (): void => {
    const shape = variants[Number(select.value)]!;
    // The first may be filled with what is given; whoever chooses another one begins anew.
    const given = part === undefined ? wanted.given : undefined;
    part = partOf({ ...wanted, shape, given, name: name === "" ? " " : name });
    redraw(inside, part.element);
  };
  select.addEventListener("change", choose);
  choose();
  const choice = labelled(titleOf(wanted), select, hintOf(wanted));
  return { element: groupOf(wanted, choice, inside), read: () => part.read() };
}
