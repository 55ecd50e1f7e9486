import assert from "node:assert/strict";
import { test } from "node:test";
import {
  META,
  RPC,
  decodeMirrored,
  discoveredVersions,
  readModern,
  statusOfError,
} from "../../src/mcp/modern.ts";
import { paramHeaderFault, paramHeadersOf } from "../../src/mcp/param-headers.ts";

const meta = { [META.protocolVersion]: "2026-07-28", [META.clientCapabilities]: {} };
const call = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "echo", _meta: meta } };
const headers = { version: "2026-07-28", method: "tools/call", name: "echo" };
const code = (body: unknown, sent: object = headers) => {
  const reading = readModern(body, { ...headers, ...sent });
  return reading.kind === "fault" ? reading.code : reading.kind;
};

test("a request that says what it speaks, and whose headers say the same, is modern", () => {
  const reading = readModern(call, headers);
  assert.deepEqual(reading, { kind: "request", version: "2026-07-28", params: call.params });
});

test("a header that is missing or says something else than the body is refused", () => {
  for (const sent of [
    { version: undefined },
    { version: "2027-01-01" },
    { version: "2025-11-25" },
    { method: undefined },
    { method: "tools/list" },
    { name: undefined },
    { name: "other" },
    { name: "=?base64?%%%?=" },
  ])
    assert.equal(code(call, sent), RPC.headerMismatch, JSON.stringify(sent));
});

test("a name may be written in base64", () => {
  const name = `=?base64?${Buffer.from("echo").toString("base64")}?=`;
  assert.equal(code(call, { name }), "request");
});

test("what names no revision in its body is legacy, unless the header names a modern one", () => {
  const bare = { ...call, params: { name: "echo" } };
  assert.equal(code(bare, { version: undefined }), "legacy");
  assert.equal(code(bare, { version: "2025-06-18" }), "legacy");
  assert.equal(code(bare), RPC.invalidParams);
  assert.equal(
    code(bare, { version: "2031-01-01" }),
    "request",
    "a revision to be refused by name",
  );
});

test("initialize is legacy, and contradicts a modern header", () => {
  const initialize = { jsonrpc: "2.0", id: 0, method: "initialize", params: {} };
  assert.equal(code(initialize, { version: undefined }), "legacy");
  assert.equal(code(initialize), RPC.headerMismatch);
});

test("batches and responses do not exist in this era", () => {
  assert.equal(code([call]), RPC.invalidRequest);
  assert.equal(code([call], { version: "2025-03-26" }), "legacy");
  assert.equal(code({ jsonrpc: "2.0", id: 1, result: {} }), RPC.invalidRequest);
});

test("a claim without capabilities, or of another type, is refused", () => {
  for (const broken of [
    { [META.protocolVersion]: "2026-07-28" },
    { [META.protocolVersion]: 2026, [META.clientCapabilities]: {} },
    { [META.protocolVersion]: "2026-07-28", [META.clientCapabilities]: [] },
  ])
    assert.equal(code({ ...call, params: { name: "echo", _meta: broken } }), RPC.invalidParams);
});

test("a notification is told apart", () => {
  const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: {} };
  assert.equal(code(cancelled), "notification");
  assert.equal(code(cancelled, { version: "2025-11-25" }), "legacy");
});

test("a mirrored value is plain ASCII or canonical base64 of UTF-8", () => {
  assert.equal(decodeMirrored(" us-west1\t"), "us-west1");
  assert.equal(decodeMirrored("=?base64?SGVsbG8sIOS4lueVjA==?="), "Hello, 世界");
  assert.equal(decodeMirrored("=?base64?SGVsbG8?="), undefined, "no padding");
  assert.equal(decodeMirrored("=?base64?/w==?="), undefined, "no UTF-8");
  assert.equal(decodeMirrored("\u00e9"), undefined);
});

test("errors of the protocol have their own status, the others are answers like any", () => {
  const statuses = [undefined, -32_601, -32_020, -32_021, -32_022, -32_602, -32_603, 42];
  assert.deepEqual(statuses.map(statusOfError), [200, 404, 400, 400, 400, 200, 200, 200]);
});

test("a server is modern that names a modern revision, in a result or in the error for another", () => {
  const result = { supportedVersions: ["2026-07-28", "2025-11-25"] };
  assert.deepEqual(discoveredVersions({ result }), result.supportedVersions);
  const error = { code: RPC.unsupportedVersion, data: { supported: ["2027-01-01"] } };
  assert.deepEqual(discoveredVersions({ error }), ["2027-01-01"]);
  for (const legacy of [
    { result: {} },
    { result: { supportedVersions: ["2025-11-25"] } },
    { error: { code: -32_601 } },
    { error: { code: RPC.unsupportedVersion, data: { supported: ["2025-11-25"] } } },
    {},
  ])
    assert.equal(discoveredVersions(legacy), undefined, JSON.stringify(legacy));
});

test("marked parameters are found along properties alone, and held against their headers", () => {
  const region = { type: "string", "x-mcp-header": "Region" };
  const declared = paramHeadersOf({
    type: "object",
    properties: {
      region,
      deep: { type: "object", properties: { size: { type: "integer", "x-mcp-header": "Size" } } },
      list: { type: "array", items: { properties: { no: { "x-mcp-header": "No" } } } },
      bad: { type: "string", "x-mcp-header": "a b" },
    },
  });
  assert.deepEqual(declared, [
    { header: "mcp-param-region", path: ["region"] },
    { header: "mcp-param-size", path: ["deep", "size"] },
  ]);
  const fault = (args: object, sent: Record<string, string>) =>
    paramHeaderFault(declared, args, (name) => sent[name]);
  assert.equal(fault({ region: "eu" }, { "mcp-param-region": "eu" }), undefined);
  assert.equal(fault({ deep: { size: 42 } }, { "mcp-param-size": "42.0" }), undefined);
  assert.equal(fault({}, { "mcp-param-region": "anything" }), undefined);
  assert.match(fault({ region: "eu" }, {})!, /missing/);
  assert.match(fault({ region: "eu" }, { "mcp-param-region": "us" })!, /differ/);
  assert.match(fault({ region: "eu" }, { "mcp-param-region": "=?base64?x?=" })!, /decoded/);
});
