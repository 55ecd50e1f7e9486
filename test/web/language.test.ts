import assert from "node:assert/strict";
import { test } from "node:test";
import { languageIn } from "../../src/web/language.ts";

test("a page comes in the language that the browser likes best, else in English", () => {
  for (const [accepted, language] of [
    [undefined, "en"],
    ["", "en"],
    ["zh", "zh"],
    ["zh-CN,zh;q=0.9,en;q=0.8", "zh"],
    ["zh-Hant-TW", "zh"],
    ["en-GB,en;q=0.9,zh;q=0.8", "en"],
    ["en;q=0.1, ZH;q=0.2", "zh"],
    ["fr, de;q=0.5", "en"],
    ["fr, zh;q=0.1", "zh"],
    ["zh;q=0", "en"],
    ["zh;q=x, *", "en"],
  ] as const)
    assert.equal(languageIn(accepted), language, accepted);
});
