import assert from "node:assert/strict";
import { test } from "node:test";
import { headersToChild, headersToClient, isEventStream } from "../../src/mcp/headers.ts";

test("what names a person or an origin stays at the gateway, what MCP knows passes", () => {
  const raw = [
    ["Host", "gw"],
    ["Authorization", "Bearer mcps_x"],
    ["Cookie", "a=b"],
    ["Origin", "http://localhost"],
    ["Referer", "http://localhost/x?token=1"],
    ["X-Forwarded-For", "1.2.3.4"],
    ["X-User-Id", "bob"],
    ["Proxy-Authorization", "Basic x"],
    ["Transfer-Encoding", "chunked"],
    ["Mcp-Session-Id", "own"],
    ["Accept", "application/json, text/event-stream"],
    ["Content-Type", "application/json"],
    ["MCP-Protocol-Version", "2026-07-28"],
    ["Mcp-Method", "tools/call"],
    ["Mcp-Name", "=?base64?w6k=?="],
    ["Mcp-Param-Region", "eu"],
    ["Last-Event-ID", "7"],
  ].flat();
  assert.deepEqual(headersToChild(raw, undefined), [
    "accept",
    "application/json, text/event-stream",
    "content-type",
    "application/json",
    "mcp-protocol-version",
    "2026-07-28",
    "mcp-method",
    "tools/call",
    "mcp-name",
    "=?base64?w6k=?=",
    "mcp-param-region",
    "eu",
    "last-event-id",
    "7",
  ]);
});

test("a header that Connection names ends at the gateway", () => {
  assert.deepEqual(headersToChild(["Mcp-Param-A", "1", "Mcp-Param-B", "2"], "close, MCP-Param-A"), [
    "mcp-param-b",
    "2",
  ]);
});

test("a child cannot set cookies, redirect or challenge a client", () => {
  const passed = headersToClient({
    "content-type": "application/json",
    "set-cookie": ["a=b"],
    location: "/elsewhere",
    "www-authenticate": "Bearer",
    "access-control-allow-origin": "*",
    "mcp-session-id": "child's",
    "mcp-protocol-version": "2025-11-25",
    "retry-after": "3",
    "transfer-encoding": "chunked",
  });
  assert.deepEqual(passed, {
    "content-type": "application/json",
    "mcp-protocol-version": "2025-11-25",
    "retry-after": "3",
  });
});

test("an event stream is known by its type, with or without parameters", () => {
  assert.ok(isEventStream("text/event-stream"));
  assert.ok(isEventStream("text/event-stream; charset=utf-8"));
  assert.ok(!isEventStream("text/event-streams"));
  assert.ok(!isEventStream("application/json"));
  assert.ok(!isEventStream(undefined));
});
