import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionCookie } from "../../src/gateway/me/session-cookie.ts";

test("the cookie of a browser's session is as strict as the public URL allows", () => {
  const CASES = {
    "http://127.0.0.1:8040/": "mcps_session=x; Max-Age=9; Path=/me/api; HttpOnly; SameSite=Strict",
    "http://host/base": "mcps_session=x; Max-Age=9; Path=/base/me/api; HttpOnly; SameSite=Strict",
    "https://host/": "__Host-mcps_session=x; Max-Age=9; Path=/; HttpOnly; SameSite=Strict; Secure",
    "https://host/base/":
      "__Secure-mcps_session=x; Max-Age=9; Path=/base/me/api; HttpOnly; SameSite=Strict; Secure",
  };
  for (const [url, expected] of Object.entries(CASES)) {
    const cookie = sessionCookie(new URL(url));
    assert.equal(cookie.set("x", 9), expected, url);
    assert.ok(expected.startsWith(`${cookie.name}=`));
  }
});
