import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { createGuard } from "../../src/http/guard.ts";

const guard = createGuard({
  hosts: ["mcp.example.com:8040", "[2001:db8::1]"],
  origins: ["https://panel.example.org"],
});

function knock(...rawHeaders: string[]): void {
  const headers: Record<string, string> = {};
  for (let i = 0; i < rawHeaders.length; i += 2)
    headers[rawHeaders[i]!.toLowerCase()] ??= rawHeaders[i + 1]!;
  guard({ headers, rawHeaders, httpVersionMajor: 1 } as unknown as IncomingMessage);
}

test("the listener goes by its own names, whatever the port and the case", () => {
  for (const host of [
    "localhost",
    "127.0.0.1:8040",
    "[::1]:1",
    "MCP.example.com",
    "mcp.example.com:443",
    "[2001:db8::1]:80",
  ])
    knock("Host", host);
});

test("a name that was rebound to this address is refused", () => {
  for (const host of [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:80",
    "",
    "127.0.0.1@evil.example",
    "2001:db8::1",
  ]) {
    assert.throws(() => knock("Host", host), { code: "HOST_REFUSED" }, host);
  }
  assert.throws(() => knock(), { code: "HOST_REFUSED" });
});

test("two Host headers are refused, even when both are ours", () => {
  assert.throws(() => knock("Host", "localhost", "host", "localhost"), { code: "HOST_REFUSED" });
});

test("pages of foreign origins are refused, clients without an origin are not", () => {
  knock("Host", "localhost");
  for (const origin of [
    "http://localhost:6274",
    "https://mcp.example.com",
    "https://panel.example.org",
    "http://127.0.0.1",
  ]) {
    knock("Host", "localhost", "Origin", origin);
  }
  for (const origin of [
    "null",
    "http://evil.example",
    "https://panel.example.org.evil.example",
    "http://panel.example.org",
    "file://",
    "http://localhost@evil.example",
    "",
  ]) {
    assert.throws(
      () => knock("Host", "localhost", "Origin", origin),
      { code: "ORIGIN_REFUSED" },
      origin,
    );
  }
});
