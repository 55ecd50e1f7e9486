import assert from "node:assert/strict";
import { test } from "node:test";
import { createRouter, prefixOf, queryOf, valuesOf } from "../../src/gateway/routes.ts";

const route = createRouter("");

test("the personal paths are read, with and without server, slash and query", () => {
  assert.deepEqual(route("/u/alice/sse"), { user: "alice", server: undefined, leaf: "sse" });
  assert.deepEqual(route("/u/alice/sse/"), { user: "alice", server: undefined, leaf: "sse" });
  assert.deepEqual(route("/u/alice/mcp?token=x"), {
    user: "alice",
    server: undefined,
    leaf: "mcp",
  });
  assert.deepEqual(route("/u/a_b-9/gmail/messages/?session_id=1"), {
    user: "a_b-9",
    server: "gmail",
    leaf: "messages",
  });
});

test("every other spelling is no path at all", () => {
  for (const path of [
    "/u/alice",
    "/u/alice/",
    "/u//sse",
    "/u/alice//sse",
    "//u/alice/sse",
    "/u/Alice/sse",
    "/u/alice/SSE",
    "/u/al%69ce/sse",
    "/u/alice%2fsse",
    "/u/alice/..%2fbob/sse",
    "/u/alice/../bob/sse",
    "/u/./alice/sse",
    "/u/alice/sse/../../bob/sse",
    "/u/alice\\..\\bob/sse",
    "/u/alice/sse;x=1",
    "/u/alice/sse#x",
    "/u/alice/sse/x",
    "/u/alice/a/b/sse",
    "/u/-alice/sse",
    "/u/аlice/sse",
    `/u/${"a".repeat(64)}/sse`,
    "http://127.0.0.1/u/alice/sse",
    "/x/u/alice/sse",
    "*",
    "",
  ]) {
    assert.equal(route(path), undefined, path);
  }
});

test("the prefix of the public URL may be there or have been stripped", () => {
  const prefixed = createRouter(prefixOf(new URL("https://example.com/mcp+x/")));
  assert.equal(prefixed("/mcp+x/u/alice/sse")?.user, "alice");
  assert.equal(prefixed("/u/alice/sse")?.user, "alice");
  assert.equal(prefixed("/mcpxx/u/alice/sse"), undefined);
});

test("query values are found by their whole name", () => {
  const query = queryOf("/u/alice/sse?a=1&token=x&mytoken=y&token=z%20");
  assert.deepEqual(valuesOf(query, "token"), ["x", "z%20"]);
  assert.deepEqual(valuesOf(query, "b"), []);
  assert.equal(queryOf("/u/alice/sse"), "");
});
