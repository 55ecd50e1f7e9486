import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isLoopbackAddress,
  isLoopbackHost,
  isLoopbackOrigin,
} from "../../src/platform/loopback.ts";

test("the whole of 127.0.0.0/8 and ::1 are loopback, and nothing else is", () => {
  for (const address of ["127.0.0.1", "127.255.0.9", "::1", "0:0:0:0:0:0:0:1"])
    assert.ok(isLoopbackAddress(address), address);
  for (const address of ["128.0.0.1", "0.0.0.0", "::", "127.example.com", "localhost", ""])
    assert.ok(!isLoopbackAddress(address), address);
});

test("a host may also be the name localhost", () => {
  assert.ok(isLoopbackHost("localhost") && isLoopbackHost("127.0.0.1"));
  assert.ok(!isLoopbackHost("localhost.example.com"));
});

test("an origin is loopback on any port, and with neither path nor another host", () => {
  for (const origin of ["http://localhost", "https://127.0.0.1:8443", "http://[::1]:1"])
    assert.ok(isLoopbackOrigin(origin), origin);
  for (const origin of [
    "http://localhost.evil.example",
    "null",
    "ftp://localhost",
    "http://localhost:1/",
  ])
    assert.ok(!isLoopbackOrigin(origin), origin);
});
