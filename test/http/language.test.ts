import assert from "node:assert/strict";
import { test } from "node:test";
import { languageOf } from "../../src/http/language.ts";

test("people are spoken to in the language that they like best of ours, else in English", () => {
  const headers: [string | undefined, string][] = [
    [undefined, "en"],
    ["", "en"],
    ["*", "en"],
    ["fr-FR", "en"],
    ["zh", "zh"],
    ["zh-CN,zh;q=0.9,en;q=0.8", "zh"],
    ["ZH-hant-TW", "zh"],
    ["en-GB,zh;q=0.9", "en"],
    ["de, zh;q=0.5, en;q=0.4", "zh"],
    ["zh;q=0", "en"],
    ["en;q=0.1, ZH;q=0.2", "zh"],
    ["fr, zh;q=0.1", "zh"],
    ["zhx", "en"],
    [";;q=,,", "en"],
  ];
  for (const [header, language] of headers) assert.equal(languageOf(header), language, header);
});
