import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { inert } from "../../src/web/browser/shared/inert.ts";
import { formOf } from "../../src/web/browser/shared/schema.ts";
import type { Shape } from "../../src/web/browser/shared/schema.ts";

const browser = fileURLToPath(new URL("../../src/web/browser", import.meta.url));

type Sentences = Record<string, string>;

test("the sentences of both languages have the same keys and places, and none is empty", async () => {
  const folders = globSync("*/en.ts", { cwd: browser }).map(dirname);
  assert.ok(folders.includes("shared"));
  const placesIn = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).toSorted();
  for (const folder of folders) {
    const { en } = (await import(join(browser, folder, "en.ts"))) as { en: Sentences };
    const { zh } = (await import(join(browser, folder, "zh.ts"))) as { zh: Sentences };
    assert.deepEqual(Object.keys(zh).toSorted(), Object.keys(en).toSorted(), folder);
    for (const [key, text] of Object.entries(en)) {
      assert.notEqual(text, "", `${folder}: ${key}`);
      assert.match(zh[key]!, /\p{Script=Han}|^[^A-Za-z]+$/u, `${folder}: ${key} is Chinese`);
      assert.deepEqual(placesIn(zh[key]!), placesIn(text), `${folder}: ${key}`);
    }
  }
});

test("nothing in the browser makes markup or programs of text", () => {
  const dangerous =
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|\beval\b|new Function|serviceWorker|createPolicy|new RegExp/;
  for (const file of globSync("**/*.ts", { cwd: browser }))
    assert.doesNotMatch(readFileSync(join(browser, file), "utf8"), dangerous, file);
});

test("of a text of somebody else's nothing is left that steers a screen, or turns the text on it round", () => {
  assert.equal(inert("a\r\nb\tc 中文 🙂"), "a\nb\tc 中文 🙂");
  const hostile = "\u001b[31m\u202eevil\u2066\u0000\u009b\u200f\ufeff\u2028\r";
  assert.doesNotMatch(inert(hostile), /[\p{Cc}\p{Cf}\p{Zl}]/u);
  assert.match(inert(hostile), /1b.*202e.*evil/);
});

const kinds = (shape: Shape): unknown => {
  if (shape.kind === "object")
    return Object.fromEntries(shape.fields.map((field) => [field.name, kinds(field.shape)]));
  if (shape.kind === "list") return [kinds(shape.item)];
  return shape.kind === "variants" ? { variants: shape.variants.map(kinds) } : shape.kind;
};

test("a form has a field for what JSON Schema says, by reference, in variants and nested", () => {
  const form = formOf({
    type: "object",
    $defs: {
      place: { type: "object", properties: { lat: { type: "number" } } },
      "a/b~c": { type: "integer" },
    },
    properties: {
      text: { type: "string", pattern: "(a+)+$" },
      maybe: { anyOf: [{ type: "boolean" }, { type: "null" }] },
      at: { $ref: "#/$defs/place" },
      count: { $ref: "#/$defs/a~1b~0c" },
      rows: { type: "array", items: { type: "array", items: { enum: ["x", 2, null] } } },
      one: { oneOf: [{ type: "string" }, { $ref: "#/$defs/place" }] },
      any: {},
      both: { type: ["string", "null"] },
      elsewhere: { $ref: "https://evil.example/schema.json" },
    },
    required: ["text"],
  });
  assert.deepEqual(kinds(form), {
    text: "string",
    maybe: "boolean",
    at: { lat: "number" },
    count: "number",
    rows: [["choice"]],
    one: { variants: ["string", { lat: "number" }] },
    any: "json",
    both: "string",
    elsewhere: "json",
  });
});

test("a schema cannot make a form hang: circles, depth, width and strange types end in a field of JSON", () => {
  const circle = { type: "object", properties: { again: { $ref: "#" }, more: { $ref: "#" } } };
  assert.ok(JSON.stringify(kinds(formOf(circle))).length < 20_000);
  assert.equal(formOf({ $ref: "#/x", x: { $ref: "#/x" } }).kind, "json");
  const wide = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`f${at}`, {}]));
  assert.equal(formOf({ type: "object", properties: wide }).kind, "json");
  let deep: object = { type: "string" };
  for (let at = 0; at < 5_000; at += 1) deep = { type: "object", properties: { in: deep } };
  assert.ok(JSON.stringify(kinds(formOf(deep))).split('"in"').length <= 10);
  for (const strange of [
    null,
    1,
    "x",
    [],
    undefined,
    { type: 7 },
    { type: "object", properties: 3 },
  ])
    assert.ok(["json", "object"].includes(formOf(strange).kind));
  const own = JSON.parse(
    '{"type":"object","properties":{"__proto__":{"type":"string"}}}',
  ) as object;
  const form = formOf(own);
  assert.deepEqual(form.kind === "object" && form.fields.map(({ name }) => name), ["__proto__"]);
  assert.deepEqual(kinds(formOf({})), {});
});
