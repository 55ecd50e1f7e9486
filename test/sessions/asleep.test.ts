import assert from "node:assert/strict";
import { test } from "node:test";
import type { Audience } from "../../src/instances/last-shown.ts";
import type { Manifest } from "../../src/instances/manifests.ts";
import { peek } from "../../src/mcp/client-body.ts";
import type { ClientMessage } from "../../src/mcp/client-body.ts";
import { META } from "../../src/mcp/modern.ts";
import { answerAsleep, audienceOf, modernAudienceOf } from "../../src/sessions/asleep.ts";
import { testInstance } from "../helpers/instance.ts";

const STDIO: Audience = { era: "legacy", capabilities: "{}", version: undefined };
const SSE: Audience = { ...STDIO, version: "2025-06-18" };
const GREETING = '{ "protocolVersion": "2025-06-18", "n": 12345678901234567890 }';
const TOOLS = '{"tools":[1.50],"nextCursor":"2"}';

const SHOWN: Manifest = {
  greeting: Buffer.from(GREETING),
  hasSessions: true,
  lists: new Map([["tools/list", [Buffer.from(TOOLS), Buffer.from('{"tools":[2]}')]]]),
};

function message(text: string): ClientMessage {
  const seen = peek(Buffer.from(text));
  assert.ok(seen.kind === "messages");
  return seen.messages[0]!;
}

const request = (method: string, params: object = {}, id = "1"): ClientMessage =>
  message(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${JSON.stringify(params)}}`);

const initialize = (version: unknown, capabilities: unknown = {}): ClientMessage =>
  request("initialize", { protocolVersion: version, capabilities });

function answer(asked: ClientMessage, audience: Audience | undefined = STDIO, isAwake = false) {
  const one = testInstance();
  if (isAwake) one.start(new URL("http://127.0.0.1:9/mcp"));
  if (isAwake) void one.instance.ensure();
  return answerAsleep({ find: () => SHOWN }, one.instance, asked, () => audience)?.toString();
}

test("the answer is the child's own result, under the id as the client wrote it", () => {
  const id = '"\\u0061\\n"';
  assert.equal(
    answer(request("tools/list", {}, id)),
    `{"jsonrpc":"2.0","id":${id},"result":${TOOLS}}`,
  );
  assert.equal(
    answer(initialize("2025-06-18"), SSE),
    `{"jsonrpc":"2.0","id":1,"result":${GREETING}}`,
  );
});

test("over stdio each client is told the version that it and the child both speak, elsewhere what it was told", () => {
  const versionIn = (audience: Audience, wanted: string) =>
    /"protocolVersion": "([\d-]+)"/.exec(answer(initialize(wanted), audience)!)?.[1];
  assert.equal(versionIn(STDIO, "2024-11-05"), "2024-11-05");
  assert.equal(versionIn(STDIO, "2025-11-25"), "2025-06-18");
  assert.equal(versionIn(SSE, "2024-11-05"), "2025-06-18");
});

test("a child that is there, and whatever was not shown, is asked", () => {
  assert.equal(answer(request("tools/list"), STDIO, true), undefined);
  assert.equal(answer(request("tools/list", { cursor: "2" })), undefined);
  assert.equal(answer(request("prompts/list")), undefined);
  assert.equal(answer(request("tools/call", { name: "x" })), undefined);
  assert.equal(answer(message('{"jsonrpc":"2.0","method":"tools/list"}')), undefined);
  assert.equal(answer(request("server/discover")), undefined);
  assert.equal(answer(request("initialize"), { ...STDIO, era: "modern" }), undefined);
  assert.equal(
    answerAsleep(
      { find: () => SHOWN },
      testInstance().instance,
      request("tools/list"),
      () => undefined,
    ),
    undefined,
  );
  assert.equal(
    answerAsleep(
      { find: () => undefined },
      testInstance().instance,
      request("tools/list"),
      () => STDIO,
    ),
    undefined,
  );
});

test("who says the same in other words is the same audience", () => {
  const one = initialize("2025-06-18", { roots: { listChanged: true }, sampling: {} });
  const other = initialize("2025-03-26", { sampling: {}, roots: { listChanged: true } });
  assert.deepEqual(audienceOf(one, "stdio"), audienceOf(other, "stdio"));
  assert.notDeepEqual(audienceOf(one, "sse"), audienceOf(other, "sse"));
  assert.notDeepEqual(audienceOf(one, "stdio"), audienceOf(initialize("2025-06-18"), "stdio"));
});

test("what is not told as it should be is nobody's", () => {
  assert.equal(audienceOf(initialize("2025-06-18", []), "stdio"), undefined);
  assert.equal(audienceOf(initialize("2025-06-18", { a: "x".repeat(20_000) }), "stdio"), undefined);
  assert.equal(audienceOf(initialize(7), "sse"), undefined);
  assert.equal(audienceOf(initialize("x".repeat(100)), "http"), undefined);
  assert.equal(modernAudienceOf({ version: "2026-07-28", params: {} }), undefined);
  const _meta = { [META.clientCapabilities]: { b: 1, a: {} } };
  assert.deepEqual(modernAudienceOf({ version: "2026-07-28", params: { _meta } }), {
    era: "modern",
    capabilities: '{"a":{},"b":1}',
    version: "2026-07-28",
  });
});
