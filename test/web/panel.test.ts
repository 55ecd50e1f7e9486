import assert from "node:assert/strict";
import { test } from "node:test";
import { headersProblem } from "../../src/web/browser/panel/headers-text.ts";
import { remediesFor } from "../../src/web/browser/panel/remedies.ts";

test("a text is headers, no JSON, or JSON that is no object", () => {
  const right = ["", "  \n", "{}", '{"Authorization": "Bearer token"}', '{"Authorization": null}'];
  for (const text of right) assert.equal(headersProblem(text), undefined, text);
  const cut = ["{", "{'Authorization': 'Bearer token'}", '{"a": "b",}', '{"a": "b" "c": "d"}', "x"];
  for (const text of cut) assert.equal(headersProblem(text), "headersNotJson", text);
  for (const text of ['["Authorization", "Bearer token"]', '"x"', "1", "null", "true"])
    assert.equal(headersProblem(text), "headersNoObject", text);
});

test("what doctor advises is what the buttons do", () => {
  const wordsFor = (next: string, cause = "alice: x"): unknown[] =>
    remediesFor({ cause, next }).map((remedy) =>
      remedy.kind === "order" ? [remedy.word, remedy.path] : [remedy.word, ...remedy.to],
    );
  assert.deepEqual(wordsFor("mcp-supervisor user enable alice"), [
    ["enable", "users/alice/enable"],
  ]);
  assert.deepEqual(wordsFor("mcp-supervisor token refresh alice --server docs"), [
    ["refresh", "users/alice/refresh?server=docs"],
  ]);
  assert.deepEqual(
    wordsFor(
      "alice opens https://x.example/u/alice/connect/docs , or mcp-supervisor token set alice --server docs --refresh-token-stdin",
    ),
    [["setToken", "users", { name: "alice", form: "token", server: "docs" }]],
  );
  assert.deepEqual(wordsFor("mcp-supervisor key issue alice"), [
    ["issueKey", "users", { name: "alice", form: "key" }],
  ]);
  assert.deepEqual(
    wordsFor("mcp-supervisor logs alice --server docs", "alice/docs: the child exited with code 3"),
    [
      ["seeLogs", "logs", { user: "alice", server: "docs" }],
      ["restart", "users/alice/restart?server=docs"],
    ],
  );
  // A new start would end as the last one did.
  const tokenless = "alice/docs: the child could not be started: no token is set";
  assert.deepEqual(wordsFor("mcp-supervisor token set alice --server docs", tokenless), [
    ["setToken", "users", { name: "alice", form: "token", server: "docs" }],
  ]);
  assert.deepEqual(wordsFor("raise servers.docs.limits.memory, or see why it grows"), []);
  assert.deepEqual(wordsFor("mcp-supervisor restart ../bob"), []);
});
