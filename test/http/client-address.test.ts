import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { createClientAddress, isLocal, networkOf } from "../../src/http/client-address.ts";

const addresses = createClientAddress(["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"]);

const clientOf = (remoteAddress: string | undefined, forwarded?: string): string =>
  addresses.of({
    socket: { remoteAddress },
    headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded },
  } as unknown as IncomingMessage);

test("without a trusted proxy the peer is the client, whatever it writes", () => {
  assert.equal(clientOf("203.0.113.9"), "203.0.113.9");
  assert.equal(clientOf("203.0.113.9", "198.51.100.1"), "203.0.113.9");
  assert.equal(clientOf("203.0.113.9", "127.0.0.1"), "203.0.113.9");
  assert.equal(clientOf("::ffff:203.0.113.9", "198.51.100.1"), "203.0.113.9");
  assert.equal(clientOf(undefined, "198.51.100.1"), "", "a unix socket");
  const none = createClientAddress([]);
  const req = { socket: { remoteAddress: "127.0.0.1" }, headers: { "x-forwarded-for": "1.2.3.4" } };
  assert.equal(none.of(req as unknown as IncomingMessage), "127.0.0.1");
});

test("a trusted proxy's word is read from the right, up to the first address that is no trusted proxy's", () => {
  for (const [peer, forwarded, client] of [
    ["127.0.0.1", "198.51.100.1", "198.51.100.1"],
    ["::ffff:127.0.0.1", " 198.51.100.1 ", "198.51.100.1"],
    ["127.0.0.1", "198.51.100.1, 10.1.2.3", "198.51.100.1"],
    ["10.1.2.3", "203.0.113.7, 198.51.100.1, 10.1.2.3, 127.0.0.1", "198.51.100.1"],
    ["127.0.0.1", "garbage, 198.51.100.1", "198.51.100.1"],
    ["127.0.0.1", "10.9.9.9", "10.9.9.9"],
    ["2001:db8:1::5", "2001:db8:2::7", "2001:db8:2::7"],
    ["127.0.0.1", "[2001:db8:2::7]:443", "2001:db8:2::7"],
    ["127.0.0.1", "198.51.100.1:50123", "198.51.100.1"],
    ["127.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"],
  ] as const)
    assert.equal(clientOf(peer, forwarded), client, `${peer} ${forwarded}`);
});

test("where the proxy's word is no list of addresses, the proxy is the client", () => {
  for (const forwarded of [
    "",
    "unknown",
    "198.51.100.1,",
    "198.51.100.1, _hidden, 10.0.0.1",
    "1.2.3",
    "198.51.100.1; DROP",
    "[::1",
    "localhost",
  ])
    assert.equal(clientOf("127.0.0.1", forwarded), "127.0.0.1", forwarded);
});

test("IPv6 clients are counted by their /64, IPv4 ones one by one", () => {
  assert.equal(networkOf("198.51.100.1"), "198.51.100.1");
  assert.equal(networkOf("2001:db8:2:3::1"), networkOf("2001:db8:2:3:ffff:1:2:3"));
  assert.notEqual(networkOf("2001:db8:2:3::1"), networkOf("2001:db8:2:4::1"));
  assert.equal(networkOf("2001:DB8::1"), networkOf("2001:0db8:0:0:1::"));
});

test("this machine is this machine in every spelling", () => {
  for (const address of ["127.0.0.1", "127.9.9.9", "::1", ""]) assert.ok(isLocal(address), address);
  for (const address of ["128.0.0.1", "::2", "10.0.0.1"])
    assert.equal(isLocal(address), false, address);
});
