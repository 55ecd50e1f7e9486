import assert from "node:assert/strict";
import { test } from "node:test";
import { guardedLookup, isForbidden, requireAllowedHost } from "../../src/platform/address.ts";

test("link-local and metadata addresses are never called, in any spelling", () => {
  for (const address of [
    "169.254.169.254",
    "169.254.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "fe80::1",
    "febf::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "2002:a9fe:a9fe::1",
    "64:ff9b::a9fe:a9fe",
  ]) {
    assert.ok(isForbidden(address), address);
  }
});

test("loopback, private and public addresses are left to the configuration", () => {
  for (const address of [
    "127.0.0.1",
    "10.1.2.3",
    "192.168.0.1",
    "::1",
    "fd00::1",
    "8.8.8.8",
    "2002:808:808::1",
    "64:ff9b::808:808",
  ]) {
    assert.ok(!isForbidden(address), address);
  }
});

test("a URL that is written with a forbidden address is refused without a lookup", () => {
  for (const spelling of [
    "http://169.254.169.254/",
    "http://0xa9fea9fe/",
    "http://2852039166/",
    "http://[fe80::1]/",
    "http://[::ffff:a9fe:a9fe]/",
  ]) {
    assert.throws(
      () => requireAllowedHost(new URL(spelling).hostname),
      { code: "UPSTREAM_REFUSED" },
      spelling,
    );
  }
  requireAllowedHost("mcp.example");
});

test("a name is looked up, and its address judged", async () => {
  const lookup = (name: string, all: boolean) =>
    new Promise((resolve, reject) => {
      guardedLookup(name, { all }, (error, found) =>
        error === null ? resolve(found) : reject(error),
      );
    });
  assert.ok(await lookup("localhost", false));
  assert.ok(Array.isArray(await lookup("localhost", true)));
  await assert.rejects(lookup("169.254.169.254", true), { code: "UPSTREAM_REFUSED" });
});
