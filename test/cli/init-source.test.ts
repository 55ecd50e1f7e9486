import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isPlaceholder, personalIn } from "../../src/cli/init/personal.ts";
import { readPastedEntries, readSource } from "../../src/cli/init/source.ts";
import { temporaryFolder } from "../helpers/store.ts";

const entriesIn = (text: string): unknown => {
  const found = readPastedEntries(text);
  return found?.kind === "entries" ? found.entries : undefined;
};

test("an entry is read as people have it: a whole file, one entry, or without the outer braces", () => {
  const entry = { command: "x" };
  const both = { gmail: entry, docs: { url: "https://a/mcp" } };
  for (const key of ["mcpServers", "servers", "context_servers"])
    assert.deepEqual(entriesIn(JSON.stringify({ inputs: [], [key]: both })), both, key);
  assert.deepEqual(entriesIn(JSON.stringify(both)), both);
  assert.deepEqual(entriesIn('"gmail": { "command": "x" }, // mine\n'), { gmail: entry });
  assert.deepEqual(entriesIn('{ "command": "x", "autoApprove": ["a"] }'), { server: entry });
  assert.deepEqual(entriesIn('{ "Gmail (mine)": { "command": "x" } }'), { "gmail-mine": entry });
  for (const text of ["", "{}", "[]", '"gmail": {', '{"a":{"b":1}}', '{"a":{"command":"x"},"b":1}'])
    assert.equal(readPastedEntries(text), undefined, text);
});

test("a source is a file, a URL or a package with its version", (t) => {
  const file = join(temporaryFolder(t), "mcp.json");
  writeFileSync(file, '{ "a": { "command": "x" } }');
  assert.deepEqual(readSource(file), { kind: "entries", entries: { a: { command: "x" } } });
  const named = (from: string): string => {
    const source = readSource(from);
    return source.kind === "package" ? source.name : Object.keys(source.entries)[0]!;
  };
  const names: Record<string, string> = {
    "https://mcp.drawing.example.com/mcp": "drawing",
    "http://127.0.0.1:3001/sse": "remote",
    "npm:@modelcontextprotocol/server-everything@1.2.3": "everything",
    "npm:@acme/mail-mcp@1.2.3": "mail",
    "pypi:mcp-server-time==2025.9.25": "time",
    "pypi:gmail_mcp[all]==1.0": "gmail",
  };
  for (const [from, name] of Object.entries(names)) assert.equal(named(from), name, from);
  for (const from of ["npm:a", "npm:a@latest", "pypi:a", "nowhere.json", "https://"])
    assert.throws(() => readSource(from), { code: "USAGE" }, from);
});

test("the secret of one person in an entry becomes each user's own, without its value", () => {
  const entry = { command: "x", env: { GMAIL_TOKEN: "s3cret", KEYBOARD: "us", MODE: "a" } };
  const [own, ...others] = personalIn(entry);
  assert.deepEqual(others, []);
  assert.deepEqual(
    [own?.where, own?.value, own?.entry],
    [
      "env.GMAIL_TOKEN",
      "s3cret",
      { command: "x", env: { KEYBOARD: "us", MODE: "a" }, tokenEnv: "GMAIL_TOKEN" },
    ],
  );
  const [header] = personalIn({ url: "https://a/mcp", headers: { Authorization: "Bearer abc" } });
  assert.deepEqual(
    [header?.value, header?.entry],
    ["abc", { url: "https://a/mcp", headers: { Authorization: "Bearer ${token}" } }],
  );
  assert.deepEqual(personalIn({ url: "x", headers: { Authorization: "Bearer ${token}" } }), []);
  assert.equal(personalIn({ command: "x", env: { API_KEY: "a", API_SECRET: "b" } }).length, 2);
  for (const value of ["", "<token>", "${input:key}", "YOUR_API_KEY", "xxxx"])
    assert.ok(isPlaceholder(value), value);
  assert.ok(!isPlaceholder("ya29.a0Af"));
});
