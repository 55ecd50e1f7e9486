import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { createGuard } from "../../src/http/guard.ts";

const NAMES = {
  hosts: ["mcp.example.com:8040"],
  origins: ["https://panel.example.org"],
};
const gateway = createGuard({ ...NAMES, pages: "loopback" });
const control = createGuard({ ...NAMES, pages: "own" });

function knockAt(guard: typeof gateway, ...rawHeaders: string[]): void {
  const headers: Record<string, string> = {};
  for (let i = 0; i < rawHeaders.length; i += 2)
    headers[rawHeaders[i]!.toLowerCase()] ??= rawHeaders[i + 1]!;
  guard({ headers, rawHeaders, httpVersionMajor: 1 } as unknown as IncomingMessage);
}
const knock = (...rawHeaders: string[]) => knockAt(gateway, ...rawHeaders);

test("the listener goes by its own names, whatever the port and the case", () => {
  for (const host of [
    "localhost",
    "127.0.0.1:8040",
    "[::1]:1",
    "MCP.example.com",
    "mcp.example.com:443",
    "[2001:db8::1]:80",
    "203.0.113.5",
    "10.10.1.105:8040",
    "[2001:DB8::1]",
  ]) {
    knock("Host", host);
    knockAt(control, "Host", host);
  }
});

test("a name that was rebound to this address is refused", () => {
  for (const host of [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:80",
    "",
    "127.0.0.1@evil.example",
    "2001:db8::1",
    "[fe80::1%eth0]",
    "[10.0.0.1]",
    "0x7f.0.0.1",
    "2130706433",
    "127.1",
    "010.0.0.1",
    "10.0.0.256",
  ]) {
    assert.throws(() => knock("Host", host), { code: "HOST_REFUSED" }, host);
  }
  assert.throws(() => knock(), { code: "HOST_REFUSED" });
});

test("a name without a dot is accepted where servers are named by the environment, and there alone", () => {
  const open = createGuard({ ...NAMES, pages: "loopback", dotless: true });
  for (const host of ["mcp-proxy:5000", "MCP_PROXY", "localhost"]) knockAt(open, "Host", host);
  for (const host of ["evil.example", "mcp-proxy.", "", ":5000", "a b", "mcp@proxy", "[mcp]"])
    assert.throws(() => knockAt(open, "Host", host), { code: "HOST_REFUSED" }, host);
  for (const guard of [gateway, control])
    assert.throws(() => knockAt(guard, "Host", "mcp-proxy:5000"), { code: "HOST_REFUSED" });
});

test("two Host headers are refused, even when both are ours", () => {
  assert.throws(() => knock("Host", "localhost", "host", "localhost"), { code: "HOST_REFUSED" });
});

test("pages of foreign origins are refused, clients without an origin are not", () => {
  knock("Host", "localhost");
  for (const origin of [
    "http://localhost:6274",
    "https://[::1]:1",
    "https://panel.example.org",
    "http://127.0.0.1",
  ]) {
    knock("Host", "localhost", "Origin", origin);
  }
  // Of the host that was called: what is there is ours.
  knock("Host", "10.10.1.105:5000", "Origin", "http://10.10.1.105:5000");
  knock("Host", "MCP.example.com", "Origin", "https://mcp.example.com");
  for (const origin of ["http://10.10.1.105", "http://10.10.1.106:5000", "ftp://10.10.1.105:5000"])
    assert.throws(() => knock("Host", "10.10.1.105:5000", "Origin", origin), {
      code: "ORIGIN_REFUSED",
    });
  for (const origin of [
    "null",
    "http://evil.example",
    "https://mcp.example.com",
    "http://203.0.113.5",
    "http://localhost.evil.example",
    "ftp://localhost",
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

test("where only the own pages may call, an origin is the very Host of the request, scheme, port and all", () => {
  for (const host of ["localhost:8041", "127.0.0.1:8041", "MCP.example.com", "203.0.113.5:8041"])
    knockAt(control, "Host", host, "Origin", `http://${host.toLowerCase()}`);
  knockAt(control, "Host", "localhost:8041", "Origin", "https://panel.example.org");
  for (const origin of [
    "http://127.0.0.1:9999",
    "http://127.0.0.1",
    "https://127.0.0.1:8041",
    "http://localhost:8041",
    "http://mcp.example.com",
    "http://127.0.0.1:8041.evil.example",
    "null",
  ]) {
    assert.throws(
      () => knockAt(control, "Host", "127.0.0.1:8041", "Origin", origin),
      { code: "ORIGIN_REFUSED" },
      origin,
    );
  }
});
