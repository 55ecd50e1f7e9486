import assert from "node:assert/strict";
import { test } from "node:test";
import { peek } from "../../src/mcp/client-body.ts";
import type { ClientMessage } from "../../src/mcp/client-body.ts";
import { META } from "../../src/mcp/modern.ts";
import { urlElicitation } from "../../src/mcp/url-elicitation.ts";

function message(method: string, params: object): ClientMessage {
  const seen = peek(Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })));
  assert.ok(seen.kind === "messages");
  return seen.messages[0]!;
}

const refusal = { message: "over", data: { connectUrl: "https://mcp.example.com/x" } };
const hello = (elicitation: unknown) => message("initialize", { capabilities: { elicitation } });

test("a refusal that names a page is -32042 for a client that can offer it, of either era, and for no other", () => {
  const modern = message("tools/call", {
    name: "x",
    _meta: { [META.clientCapabilities]: { elicitation: { url: {} } } },
  });
  for (const said of [[hello({ url: {}, form: {} })], [undefined, modern]]) {
    const told = urlElicitation(refusal, said);
    assert.equal(told?.code, -32042);
    const [{ elicitationId, ...rest } = {}] = told.data["elicitations"] as Record<string, string>[];
    assert.deepEqual(rest, { mode: "url", url: refusal.data.connectUrl, message: "over" });
    assert.match(elicitationId!, /^[\da-f-]{36}$/);
  }
  for (const declared of [undefined, null, {}, { form: {} }, { url: null }, { url: true }, "url"])
    assert.equal(urlElicitation(refusal, [hello(declared)]), undefined);
  const long = hello({ url: { padding: "x".repeat(20_000) } });
  assert.equal(urlElicitation(refusal, [long]), undefined);
  assert.equal(urlElicitation({ message: "over", data: {} }, [modern]), undefined);
  assert.equal(urlElicitation({ message: "over", data: undefined }, [modern]), undefined);
});
