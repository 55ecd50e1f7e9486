import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveEndpoint } from "../../src/mcp/endpoint.ts";

const stream = new URL("http://127.0.0.1:42001/api/sse?x=1");

const ACCEPTED: [string, string][] = [
  ["/message?sessionId=1", "http://127.0.0.1:42001/message?sessionId=1"],
  ["/messages/?session_id=ab", "http://127.0.0.1:42001/messages/?session_id=ab"],
  ["messages?session_id=ab", "http://127.0.0.1:42001/api/messages?session_id=ab"],
  ["?sessionid=ab", "http://127.0.0.1:42001/api/sse?sessionid=ab"],
  ["./m/session-in-path", "http://127.0.0.1:42001/api/m/session-in-path"],
  ["/m?a=1&b=%20#part", "http://127.0.0.1:42001/m?a=1&b=%20"],
  ["//127.0.0.1:42001/m", "http://127.0.0.1:42001/m"],
  ["http://127.0.0.1:42001/m?s=1", "http://127.0.0.1:42001/m?s=1"],
  ["http://localhost:42001/m?s=1", "http://127.0.0.1:42001/m?s=1"],
  ["http://0.0.0.0:42001/m?s=1", "http://127.0.0.1:42001/m?s=1"],
  ["http://[::1]:42001/m", "http://127.0.0.1:42001/m"],
];
for (const [data, expected] of ACCEPTED) {
  test(`the endpoint ${data} is ${expected}`, () => {
    assert.equal(resolveEndpoint(data, stream).href, expected);
  });
}

for (const data of [
  "http://evil.example/m",
  "//evil.example/m",
  "\\\\evil.example\\m",
  "https://127.0.0.1:42001/m",
  "http://127.0.0.1:42002/m",
  "http://127.0.0.1/m",
  "http://user:pw@127.0.0.1:42001/m",
  "http://169.254.169.254:42001/latest",
  "file:///etc/passwd",
  "http://[",
]) {
  test(`the endpoint ${data} is refused`, () => {
    assert.throws(() => resolveEndpoint(data, stream), { code: "UPSTREAM_INVALID" });
  });
}

test("a remote may not send its users' messages to this machine", () => {
  const remote = new URL("https://mcp.example/sse");
  assert.throws(() => resolveEndpoint("http://localhost/m", remote), { code: "UPSTREAM_INVALID" });
  assert.equal(resolveEndpoint("/m?s=1", remote).href, "https://mcp.example/m?s=1");
});
