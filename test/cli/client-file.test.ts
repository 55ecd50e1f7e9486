import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { difference } from "../../src/cli/client-file/difference.ts";
import { readFound, writeFound } from "../../src/cli/client-file/file.ts";
import { editJson } from "../../src/cli/client-file/json-edit.ts";
import { merged } from "../../src/cli/client-file/write.ts";
import { shown } from "../../src/cli/view.ts";
import { clientFileOf, snippetOf, targetFor } from "../../src/web/snippets.ts";
import type { ClientId } from "../../src/web/snippets.ts";
import { temporaryFolder } from "../helpers/store.ts";

const ROW = {
  server: "gmail",
  sse: "https://mcp.example.com/u/alice/gmail/sse",
  http: "https://mcp.example.com/u/alice/gmail/mcp",
};
const KEY = "mcps_0123456789012345678901234567890123456";

function written(id: ClientId, before: string, key?: string): string {
  return merged(clientFileOf(id)!, before, [targetFor(id, { row: ROW, front: "http" })], key);
}

test("what a file of JSON holds stays as it is: comments, order, line ends, and a comma at the end", () => {
  const before = [
    "// Mine.",
    "{",
    '    "theme": "dark", // as at night',
    '    "mcpServers": {',
    '        "other": { "command": "x" }, // keep',
    "        /* the last one */",
    "    },",
    '    "z": 1, "a": [2, { "mcpServers": {} }],',
    "}",
    "",
  ].join("\r\n");
  const after = written("cursor", before);
  const entry = [
    '        "gmail": {',
    `            "url": "${ROW.http}",`,
    '            "headers": {',
    '                "Authorization": "Bearer ${env:MCPS_KEY}"',
    "            }",
    "        }",
  ].map((line) => `${line}\r\n`);
  assert.equal(after, before.replace("one */\r\n", `one */\r\n${entry.join("")}`));
  assert.equal(written("cursor", after), after, "a second time changes nothing");
  const withKey = written("cursor", after, KEY);
  assert.equal(withKey, after.replace("${env:MCPS_KEY}", KEY), "only the value is another one");
});

test("a file of JSON gets what it lacks on the way, in one line or in many", () => {
  const put = [{ path: ["a", "b"], value: { c: 1 } }];
  const read = (text: string): unknown => JSON.parse(editJson(text, put));
  assert.deepEqual(read(""), { a: { b: { c: 1 } } });
  assert.deepEqual(read("{}"), { a: { b: { c: 1 } } });
  assert.deepEqual(read('{"x":[1,"}"],"a":{}}'), { x: [1, "}"], a: { b: { c: 1 } } });
  assert.deepEqual(read('{"a":{"b":{"old":true},"d":2}}'), { a: { b: { c: 1 }, d: 2 } });
  assert.equal(editJson('{ "x": 1 // one\n}', put).includes("1, // one\n"), true);
  for (const text of ["[]", '{"a":1}', '{"a":[]}', "{", '{"a":{},"a":{}}', "nonsense"])
    assert.throws(() => editJson(text, put), { code: "CLIENT_FILE_REFUSED" }, text);
});

test("VS Code's list of inputs gets one for the key, once, and none where the key is written", () => {
  const before = '{ "inputs": [{ "id": "x" }], "servers": {} }';
  const once = written("vscode", before);
  const read = JSON.parse(once) as { inputs: { id: string }[]; servers: { gmail: object } };
  assert.deepEqual(
    read.inputs.map(({ id }) => id),
    ["x", "gmail-key"],
  );
  assert.equal(written("vscode", once), once);
  assert.doesNotMatch(written("vscode", before, KEY), /gmail-key/);
});

test("Codex's TOML gets a table, which takes the place of one that is there with all below it", () => {
  const before = [
    "# mine",
    'model = "x"',
    'text = """',
    "[mcp_servers.gmail]",
    '"""',
    "",
    '[mcp_servers."gmail"]',
    'command = "old"',
    "[mcp_servers.gmail.env]",
    "A = 1",
    "",
    "# of the next one",
    "[mcp_servers.other]",
    'command = "x"',
  ].join("\n");
  const lines = written("codex", before).split("\n");
  assert.deepEqual(lines.slice(0, 6), before.split("\n").slice(0, 6));
  assert.deepEqual(lines.slice(6), [
    "[mcp_servers.gmail]",
    `url = "${ROW.http}"`,
    'bearer_token_env_var = "MCPS_KEY"',
    "",
    "# of the next one",
    "[mcp_servers.other]",
    'command = "x"',
    "",
  ]);
  const added = written("codex", 'model = "x"\n', KEY);
  assert.match(added, /^model = "x"\n\n\[mcp_servers\.gmail\]\n/);
  assert.match(added, new RegExp(`http_headers = { Authorization = "Bearer ${KEY}" }`));
  for (const text of ["mcp_servers = {}", "mcp_servers.a.url = 1", "[mcp_servers]\na = {}"])
    assert.throws(() => written("codex", text), { code: "CLIENT_FILE_REFUSED" }, text);
});

test("LibreChat's YAML gets its server at the indent of the others", () => {
  const before = [
    "version: 1.3.0",
    "mcpServers: # ours",
    "    other:",
    "        command: x",
    "    gmail:",
    "        url: old",
    "",
    "    # of the last one",
    "    last:",
    "        command: y",
    "",
    "endpoints:",
    "  gmail: {}",
  ].join("\n");
  const lines = written("librechat", before).split("\n");
  assert.deepEqual(lines.slice(0, 5), before.split("\n").slice(0, 5));
  assert.deepEqual(lines.slice(5, 9), [
    '      type: "streamable-http"',
    `      url: "${ROW.http}"`,
    "      headers:",
    '        Authorization: "Bearer ${MCPS_KEY}"',
  ]);
  assert.deepEqual(lines.slice(9, -1), before.split("\n").slice(6));
  assert.match(written("librechat", "a: 1\n"), /^a: 1\nmcpServers:\n {2}gmail:\n/);
  assert.match(
    written("librechat", "mcpServers:\n  x:\n    y: 1\nb: 2"),
    /1\n {2}gmail:[^]*\nb: 2/,
  );
  for (const text of ["mcpServers: {}", "mcpServers:\n\ta: 1"])
    assert.throws(() => written("librechat", text), { code: "CLIENT_FILE_REFUSED" }, text);
});

test("what differs is shown with the lines around it", () => {
  const text = (lines: string[]): string => lines.join("\n");
  const before = text(["a", "b", "c", "d", "e", "f", "g"]);
  const after = text(["a", "b", "c", "x", "e", "f", "g", "h"]);
  const plain = shown(difference(before, after), { hasColour: false });
  assert.equal(plain, "…\n  b\n  c\n- d\n+ x\n  e\n  f\n  g\n+ h\n".replace("…\n", ""));
});

test("several servers are one text to paste", () => {
  const other = { ...ROW, server: "docs" };
  const both = [ROW, other].map((row) => ({ row, front: "http" as const }));
  const read = JSON.parse(snippetOf("cursor", both)) as { mcpServers: object };
  assert.deepEqual(Object.keys(read.mcpServers), ["gmail", "docs"]);
  assert.equal(snippetOf("codex", both).match(/^\[mcp_servers\./gm)?.length, 2);
  assert.match(snippetOf("librechat", both), /^mcpServers:\n {2}gmail:[^]*\n {2}docs:/);
});

test("a client's file keeps its mode, is no link, and its copy lies beside it", (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "sub", "mcp.json");
  assert.equal(writeFound(readFound(file), "{}\n"), null);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  chmodSync(file, 0o640);
  const copy = writeFound(readFound(file), '{"a":1}\n');
  assert.equal(statSync(file).mode & 0o777, 0o640);
  assert.equal(readFileSync(copy!, "utf8"), "{}\n");
  assert.equal(statSync(copy!).mode & 0o777, 0o640);
  assert.equal(readdirSync(join(folder, "sub")).length, 2, "no draft is left");

  const link = join(folder, "link.json");
  symlinkSync(file, link);
  symlinkSync(join(folder, "sub"), join(folder, "way"));
  for (const place of [link, join(folder, "way", "mcp.json"), folder])
    assert.throws(() => readFound(place), { code: "CLIENT_FILE_REFUSED" }, place);
  const found = readFound(file);
  writeFileSync(file, "somebody else's");
  assert.throws(() => writeFound(found, "ours"), { message: /changed meanwhile/ });
  assert.equal(readFileSync(file, "utf8"), "somebody else's");
  if (process.getuid?.() !== 0) return;
  chownSync(file, 65_534, 65_534);
  assert.throws(() => readFound(file), { message: /belongs to another account/ });
  assert.ok(existsSync(file));
});
