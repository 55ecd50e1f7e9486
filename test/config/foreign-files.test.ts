import assert from "node:assert/strict";
import { test } from "node:test";
import { readForeign } from "../../src/config/foreign.ts";

const problemsOf = (value: unknown): string[] =>
  readForeign(value).problems.map(({ path, message }) => `${path.join(".")}: ${message}`);

test("entries of Claude, Cursor and VS Code are ours, and what a user is asked for is the user's token", () => {
  const { servers, problems } = readForeign({
    inputs: [{ id: "key", type: "promptString" }],
    mcpServers: {
      a: { url: "http://a/mcp", headers: { authorization: "Bearer ${env:KEY}", "X-A": "1" } },
    },
    servers: { b: { type: "stdio", command: "b", args: ["x"], env: { A: "1" } } },
  });
  assert.deepEqual(problems, []);
  assert.deepEqual(servers, {
    a: { url: "http://a/mcp", headers: { authorization: "Bearer ${token}", "X-A": "1" } },
    b: { type: "stdio", command: "b", args: ["x"], env: { A: "1" } },
  });
});

test("what a user is asked for elsewhere is refused by the entry's name, and without its text", () => {
  const found = problemsOf({
    servers: {
      a: { command: "a", env: { KEY: "${input:key}" }, args: ["-x", "${env:HOME}/x"] },
      b: { url: "http://b/mcp", headers: { "X-Key": "${input:other}" } },
      c: { url: "http://${env:HOST}/mcp" },
    },
  });
  const places = found.map((line) => line.split(": ")[0]);
  assert.deepEqual(places, [
    "servers.a.env.KEY",
    "servers.a.args.1",
    "servers.b.headers.X-Key",
    "servers.c.url",
  ]);
});

test("a file without servers, with a name twice or with no object is refused", () => {
  for (const value of [{}, [], null, 5, { servers: {} }, { servers: [] }])
    assert.match(problemsOf(value)[0]!, /holds no server/);
  const twice = { mcpServers: { a: { command: "a" } }, servers: { a: { command: "a" } } };
  assert.deepEqual(problemsOf(twice), ["servers.a: is there twice"]);
  assert.deepEqual(problemsOf({ servers: { a: 5 } }), ["servers.a: must be an object"]);
});
