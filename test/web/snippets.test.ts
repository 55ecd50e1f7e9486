import assert from "node:assert/strict";
import { test } from "node:test";
import { CLIENTS, snippetsFor } from "../../src/web/snippets.ts";

const row = {
  server: "gmail",
  sse: "https://mcp.example.com/u/alice/gmail/sse",
  http: "https://mcp.example.com/u/alice/gmail/mcp",
};

const textFor = (client: string, front: "sse" | "http"): string => {
  const found = snippetsFor({ row, front }).find((snippet) => snippet.client === client);
  assert.ok(found, client);
  return found.text;
};

test("there is a snippet for each client, with the URL of the front and no access key", () => {
  for (const front of ["sse", "http"] as const) {
    const snippets = snippetsFor({ row, front });
    assert.deepEqual(
      snippets.map(({ client }) => client),
      CLIENTS.map(({ name }) => name),
    );
    for (const { client, text } of snippets) {
      const speaks = ["Codex", "Zed", "Open WebUI"].includes(client) ? "http" : front;
      assert.ok(text.includes(row[speaks]), `${client}: ${text}`);
      assert.doesNotMatch(text, /mcps_/);
      assert.match(text, /MCPS_KEY|YOUR_ACCESS_KEY|input:gmail-key|Bearer Auth/, client);
    }
  }
});

test("snippets for JSON files are JSON with the keys that the client reads", () => {
  assert.deepEqual(JSON.parse(textFor("Cursor", "http")), {
    mcpServers: {
      gmail: { url: row.http, headers: { Authorization: "Bearer ${env:MCPS_KEY}" } },
    },
  });
  const code = JSON.parse(textFor("VS Code", "sse")) as {
    inputs: { id: string; password: boolean }[];
    servers: Record<string, { type: string; url: string; headers: Record<string, string> }>;
  };
  assert.equal(code.inputs[0]?.password, true);
  assert.deepEqual(code.servers["gmail"], {
    type: "sse",
    url: row.sse,
    headers: { Authorization: `Bearer \${input:${code.inputs[0]?.id}}` },
  });
});

test("the commands name the transport, and curl gets the key on stdin", () => {
  assert.match(textFor("Claude Code", "sse"), /^claude mcp add --transport sse gmail '/);
  assert.match(textFor("Claude Code", "http"), /--transport http gmail '/);
  assert.match(textFor("n8n", "http"), /HTTP Streamable/);
  assert.match(textFor("n8n", "sse"), /Server Sent Events/);
  assert.match(textFor("curl", "http"), /-H @- <<< "Authorization: Bearer \$MCPS_KEY"/);
});
