/** Deeper than this, and beyond so many fields, a form is a field of JSON. */
const MAX_DEPTH = 8;
const MAX_FIELDS = 200;
const MAX_HOPS = 16;
const MAX_CHOICES = 100;

type Schema = Readonly<Record<string, unknown>>;

export interface Field {
  readonly name: string;
  readonly shape: Shape;
  readonly isRequired: boolean;
}

interface About {
  readonly title: string | undefined;
  readonly description: string | undefined;
  /** JSON text of the schema's default. */
  readonly preset: string | undefined;
}

/** What a form asks for. `json` is what a form cannot ask for: any value, as JSON. */
export type Shape = About &
  (
    | { readonly kind: "json" | "boolean" }
    | { readonly kind: "string"; readonly format: string | undefined }
    | { readonly kind: "number"; readonly isInteger: boolean }
    /** JSON text of each. */
    | { readonly kind: "choice"; readonly choices: readonly string[] }
    | { readonly kind: "object"; readonly fields: readonly Field[] }
    | { readonly kind: "list"; readonly item: Shape }
    | { readonly kind: "variants"; readonly variants: readonly Shape[] }
  );

interface Reading {
  readonly root: Schema;
  fieldsLeft: number;
}

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const textIn = (value: unknown): string | undefined =>
  typeof value === "string" ? value : undefined;

/**
 * The form for a tool's input schema. Reads what it understands of JSON Schema, in bounds, and no regular
 * expression of it: whether the arguments are right is for the server to say.
 */
export function formOf(inputSchema: unknown): Shape {
  const root = isSchema(inputSchema) ? inputSchema : {};
  const reading: Reading = { root, fieldsLeft: MAX_FIELDS };
  // Arguments are an object, also where the schema does not say so.
  const shape = shapeOf(Object.keys(root).length === 0 ? { type: "object" } : root, reading, 0);
  return shape.kind === "object" || shape.kind === "variants" ? shape : { ...shape, kind: "json" };
}

function shapeOf(given: unknown, reading: Reading, depth: number): Shape {
  const schema = resolved(given, reading.root);
  const about: About = {
    title: textIn(schema?.["title"]),
    description: textIn(schema?.["description"]),
    preset: schema !== undefined && "default" in schema ? textOf(schema["default"]) : undefined,
  };
  const json: Shape = { ...about, kind: "json" };
  if (schema === undefined || depth > MAX_DEPTH) return json;
  const choices = choicesIn(schema);
  if (choices !== undefined) return { ...about, kind: "choice", choices };
  const variants = variantsIn(schema);
  if (variants !== undefined) {
    const shapes = variants.map((variant) => shapeOf(variant, reading, depth + 1));
    // One of them and null is that one, left out.
    return shapes.length === 1
      ? { ...shapes[0]!, ...ofBoth(shapes[0]!, about) }
      : { ...about, kind: "variants", variants: shapes };
  }
  return { ...about, ...plainShape(schema, reading, depth) };
}

const ofBoth = (inner: About, outer: About): About => ({
  title: outer.title ?? inner.title,
  description: outer.description ?? inner.description,
  preset: outer.preset ?? inner.preset,
});

type Plain = Shape extends infer Each
  ? Each extends About
    ? Omit<Each, keyof About>
    : never
  : never;

function plainShape(schema: Schema, reading: Reading, depth: number): Plain {
  switch (typeOf(schema) ?? "several") {
    case "string":
      return { kind: "string", format: textIn(schema["format"]) };
    case "number":
      return { kind: "number", isInteger: false };
    case "integer":
      return { kind: "number", isInteger: true };
    case "boolean":
      return { kind: "boolean" };
    case "array": {
      const { items } = schema;
      // A list may be as long as the reader makes it: its item counts once.
      if (!isSchema(items) || !takeFields(reading, 1)) return { kind: "json" };
      return { kind: "list", item: shapeOf(items, reading, depth + 1) };
    }
    case "object":
      return objectOf(schema, reading, depth);
    default:
      return { kind: "json" };
  }
}

function objectOf(schema: Schema, reading: Reading, depth: number): Plain {
  const properties = isSchema(schema["properties"]) ? Object.entries(schema["properties"]) : [];
  const isOpen =
    isSchema(schema["additionalProperties"]) || schema["additionalProperties"] === true;
  // With keys of the caller's own there is nothing to name the fields after.
  if (properties.length === 0 && (isOpen || depth > 0)) return { kind: "json" };
  if ("allOf" in schema || !takeFields(reading, properties.length)) return { kind: "json" };
  const required = new Set(Array.isArray(schema["required"]) ? schema["required"] : []);
  const fields = properties.map(([name, property]) => ({
    name,
    shape: shapeOf(property, reading, depth + 1),
    isRequired: required.has(name),
  }));
  return { kind: "object", fields };
}

function takeFields(reading: Reading, count: number): boolean {
  if (count > reading.fieldsLeft) return false;
  reading.fieldsLeft -= count;
  return true;
}

/** The type that is not null; undefined where it is none, or several. */
function typeOf({ type, properties }: Schema): string | undefined {
  const types = (Array.isArray(type) ? type : [type]).filter((one) => one !== "null");
  const [only] = types;
  if (types.length === 1 && typeof only === "string") return only;
  return type === undefined && isSchema(properties) ? "object" : undefined;
}

function choicesIn(schema: Schema): string[] | undefined {
  if ("const" in schema) return [textOf(schema["const"])];
  const values = schema["enum"];
  if (!Array.isArray(values) || values.length === 0 || values.length > MAX_CHOICES)
    return undefined;
  return values.map(textOf);
}

function variantsIn(schema: Schema): unknown[] | undefined {
  const given = schema["oneOf"] ?? schema["anyOf"];
  // Beside fields of its own it says which of them go together, which the server checks.
  if (!Array.isArray(given) || isSchema(schema["properties"])) return undefined;
  const variants = given.filter((one) => !(isSchema(one) && one["type"] === "null"));
  return variants.length > 0 && variants.length <= MAX_CHOICES ? variants : undefined;
}

/** Follows `$ref`s within the schema; undefined for what leads nowhere, or round in a circle. */
function resolved(given: unknown, root: Schema): Schema | undefined {
  let schema = given;
  for (let hops = 0; hops < MAX_HOPS && isSchema(schema); hops += 1) {
    const reference = schema["$ref"];
    if (typeof reference !== "string") return schema;
    schema = pointed(root, reference);
  }
  return undefined;
}

function pointed(root: Schema, reference: string): unknown {
  if (reference !== "#" && !reference.startsWith("#/")) return undefined;
  const steps = reference.slice(2).split("/").slice(0, MAX_FIELDS);
  let value: unknown = root;
  for (const step of reference === "#" ? [] : steps) {
    const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

const textOf = (value: unknown): string => JSON.stringify(value) ?? "null";
