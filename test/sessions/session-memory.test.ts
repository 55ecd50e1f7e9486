import assert from "node:assert/strict";
import { test } from "node:test";
import { peek } from "../../src/mcp/client-body.ts";
import type { ClientMessage } from "../../src/mcp/client-body.ts";
import { SessionMemory } from "../../src/sessions/session-memory.ts";

const SECRET = "authorization: Bearer mcps_secret\r\n\r\n";
const ANSWER = Buffer.from(
  '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}}}}',
);

/** A message as it comes: behind the head of its request, in the same piece of memory. */
function posted(text: string): ClientMessage {
  const seen = peek(Buffer.from(SECRET + text).subarray(SECRET.length));
  assert.equal(seen.kind, "messages");
  return seen.messages[0]!;
}

const initialize = (client: string): ClientMessage =>
  posted(
    `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"clientInfo":{"name":"${client}"}}}`,
  );

function begun(client: string): SessionMemory {
  const memory = new SessionMemory();
  memory.begun(initialize(client), ANSWER);
  memory.sent([posted('{"jsonrpc":"2.0","method":"notifications/initialized"}')]);
  return memory;
}

test("what clients begin with in the same words is kept once, and without the secret that it came with", () => {
  const [one, alike, other] = [begun("a"), begun("a"), begun("b")];
  assert.equal(one.initialize, alike.initialize);
  assert.equal(one.initialized, alike.initialized);
  assert.equal(one.serverSide, alike.serverSide);
  assert.deepEqual(one.serverSide, { version: "2025-06-18", capabilities: { tools: {} } });
  for (const memory of [one, other]) {
    const { raw, id, method } = memory.initialize!;
    assert.deepEqual([id, method, raw.byteLength], ["0", "initialize", raw.buffer.byteLength]);
  }
  assert.deepEqual(other.initialize!.raw, initialize("b").raw);
});
