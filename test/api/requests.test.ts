import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { BAD_NAMES } from "../helpers/store.ts";
import { openRig } from "./rig.ts";

test("what is no route, no method or no JSON is refused in JSON", async (t) => {
  const { ask } = await openRig(t);
  await ask("POST", "/api/users", { body: { user: "alice" } });
  const cases: [string, string, object, number, string][] = [
    ["GET", "/", {}, 404, "NOT_FOUND"],
    ["GET", "/api", {}, 404, "NOT_FOUND"],
    ["GET", "/api/nothing", {}, 404, "NOT_FOUND"],
    ["GET", "/API/users", {}, 404, "NOT_FOUND"],
    ["GET", "/api/users/", {}, 404, "NOT_FOUND"],
    ["GET", "/api/users/%zz", {}, 400, "REQUEST_INVALID"],
    ["PATCH", "/api/users", {}, 405, "METHOD_NOT_ALLOWED"],
    ["GET", "/api/users/alice/start", {}, 405, "METHOD_NOT_ALLOWED"],
    ["DELETE", "/api/status", {}, 405, "METHOD_NOT_ALLOWED"],
    ["POST", "/api/users", { raw: "{" }, 400, "REQUEST_INVALID"],
    ["POST", "/api/users", { raw: "[]" }, 400, "REQUEST_INVALID"],
    ["POST", "/api/users", { raw: '"alice"' }, 400, "REQUEST_INVALID"],
    ["POST", "/api/users", { raw: "x".repeat(1_100_000) }, 413, "BODY_TOO_LARGE"],
    ["POST", "/api/users", { headers: { "content-type": "text/plain" } }, 415, "TYPE_UNSUPPORTED"],
    ["POST", "/api/users", { headers: { "content-type": "" } }, 415, "TYPE_UNSUPPORTED"],
    ["PATCH", "/api/users", { headers: { "content-type": "text/plain" } }, 415, "TYPE_UNSUPPORTED"],
    [
      "PUT",
      "/api/users/alice/token",
      { headers: { "content-type": "application/x-www-form-urlencoded" } },
      415,
      "TYPE_UNSUPPORTED",
    ],
    [
      "POST",
      "/api/users",
      { raw: gzipSync(" ".repeat(2_000_000)), headers: { "content-encoding": "gzip" } },
      413,
      "BODY_TOO_LARGE",
    ],
    ["POST", "/api/users", { body: { user: "bob", tokn: "x" } }, 400, "REQUEST_INVALID"],
    ["POST", "/api/users", { body: { user: ["bob"] } }, 400, "REQUEST_INVALID"],
    ["POST", "/api/users", { body: { user: "bob", token: 5 } }, 400, "REQUEST_INVALID"],
    ["POST", "/api/users", { body: { user: "bob", token: "" } }, 400, "REQUEST_INVALID"],
    [
      "POST",
      "/api/users",
      { body: { user: "bob", token: "t", tokenExpiresAt: "soon" } },
      400,
      "REQUEST_INVALID",
    ],
    ["PUT", "/api/users/alice/token", { body: {} }, 400, "REQUEST_INVALID"],
    ["PUT", "/api/users/alice/token?server=a&server=b", {}, 400, "REQUEST_INVALID"],
    [
      "PUT",
      "/api/users/alice/token?server=nope",
      { body: { token: "t" } },
      404,
      "SERVER_NOT_FOUND",
    ],
    ["DELETE", "/api/users/alice/token", {}, 404, "TOKEN_NOT_FOUND"],
    ["POST", "/api/users/alice/keys", { body: { label: "a\nb" } }, 400, "REQUEST_INVALID"],
    ["POST", "/api/users/alice/keys", { body: { label: "x".repeat(101) } }, 400, "REQUEST_INVALID"],
    ["POST", "/api/users/alice/keys", { body: { expiresAt: 1 } }, 400, "REQUEST_INVALID"],
    ["POST", "/api/users/alice/keys", { body: { expiresAt: 1.5 } }, 400, "REQUEST_INVALID"],
    ["DELETE", "/api/keys/nope", {}, 404, "KEY_NOT_FOUND"],
    ["POST", "/api/users/alice/start?server=nope", {}, 404, "SERVER_NOT_FOUND"],
    ["GET", "/api/users/alice/logs?follow=yes", {}, 400, "REQUEST_INVALID"],
    ["GET", "/api/users/alice/logs?outcome=gone", {}, 400, "REQUEST_INVALID"],
    ["GET", "/api/users/alice/logs?follow=1&outcome=ok", {}, 400, "REQUEST_INVALID"],
    ["GET", "/api/users/alice/logs?follow=1&server=nope", {}, 404, "SERVER_NOT_FOUND"],
    ["GET", "/api/status?user=nobody", {}, 404, "USER_NOT_FOUND"],
  ];
  for (const path of ["", "/token", "/keys", "/urls", "/logs", "/logs?follow=1"])
    cases.push(["GET", `/api/users/nobody${path}`, {}, 404, "USER_NOT_FOUND"]);
  for (const verb of ["disable", "enable", "start", "stop", "restart"])
    cases.push(["POST", `/api/users/nobody/${verb}`, {}, 404, "USER_NOT_FOUND"]);
  cases.push(["DELETE", "/api/users/nobody", {}, 404, "USER_NOT_FOUND"]);

  for (const [method, path, options, status, type] of cases) {
    const answered = await ask(method, path, options);
    const what = `${method} ${path} ${JSON.stringify(options).slice(0, 80)}`;
    assert.deepEqual(
      [answered.status, answered.error.code, answered.error.type],
      [status, status, type],
      what,
    );
    assert.match(String(answered.headers["content-type"]), /^application\/json/);
    assert.match(answered.error.requestId, /./);
    if (status === 405) assert.match(String(answered.headers["allow"]), /^[A-Z]+(, [A-Z]+)*$/);
  }
  const { users } = (await ask("GET", "/api/users")).body as { users: { user: string }[] };
  assert.deepEqual(
    users.map(({ user }) => user),
    ["alice"],
  );
});

test("a name that is no slug adds nobody and finds nobody", async (t) => {
  const { ask } = await openRig(t);
  for (const [what, name] of Object.entries(BAD_NAMES)) {
    const added = await ask("POST", "/api/users", { body: { user: name } });
    assert.equal(added.status, name.length > 1_000_000 ? 413 : 400, what);
    assert.ok(added.text.length < 1_000, `${what}: the answer does not repeat the name`);
    if (name === "" || name.length > 1_000) continue;
    const shown = await ask("GET", `/api/users/${encodeURIComponent(name)}`);
    assert.equal(shown.status, 404, what);
  }
  assert.deepEqual((await ask("GET", "/api/users")).body, { users: [] });
});

test("a token may be as long as a child's environment can hold, and no answer ever shows it", async (t) => {
  const { ask, logged } = await openRig(t);
  await ask("POST", "/api/users", { body: { user: "alice", token: "canary-one" } });
  const long = `canary-two-${"x".repeat(127 * 1024 - 11)}`;
  const set = await ask("PUT", "/api/users/alice/token?server=other", { body: { token: long } });
  assert.equal(set.status, 200);
  assert.deepEqual(Object.keys(set.body).toSorted(), [
    "expiresAt",
    "fingerprint",
    "grant",
    "server",
    "setAt",
    "user",
  ]);
  const longer = await ask("PUT", "/api/users/alice/token", { body: { token: `${long}x` } });
  assert.equal(longer.status, 400);
  const answers = [set, longer];
  for (const path of [
    "/users/alice",
    "/users/alice/token",
    "/users/alice/keys",
    "/users",
    "/status",
  ])
    answers.push(await ask("GET", `/api${path}`));
  for (const { text } of answers) assert.doesNotMatch(text, /canary/);
  assert.doesNotMatch(logged(), /canary|mcps_/);
});

test("an access key is in the answer that issues it and in no other", async (t) => {
  const { ask } = await openRig(t);
  const added = await ask("POST", "/api/users", { body: { user: "alice" } });
  const { id, secret } = added.body["key"] as { id: string; secret: string };
  assert.deepEqual(Object.keys(added.body), ["user", "key", "urls"]);
  assert.deepEqual(Object.keys(added.body["key"] as object), ["id", "secret"]);
  for (const path of ["/users/alice", "/users/alice/keys"]) {
    const shown = await ask("GET", `/api${path}`);
    assert.ok(shown.text.includes(id));
    assert.ok(!shown.text.includes(secret));
  }
});

test("half a body and a client that goes away leave the daemon answering", async (t) => {
  const { socket, ask } = await openRig(t);
  await new Promise<void>((resolve) => {
    const half = connect({ path: socket }, () => {
      half.write(
        'POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"user":',
        () => half.destroy(),
      );
    });
    half.once("close", () => resolve());
  });
  assert.deepEqual((await ask("GET", "/api/users")).body, { users: [] });
});

test("orders that are about no user are audited in the words of the command line", async (t) => {
  const { ask } = await openRig(t);
  const orders = {
    "/api/stop": "stop --all",
    "/api/notices/test": "doctor --notices",
    "/api/reload": "reload",
    "/api/nothing/test": "POST /api/nothing/test",
  };
  for (const path of Object.keys(orders)) await ask("POST", path);
  const { entries } = (await ask("GET", "/api/audit")).body as { entries: { what: string }[] };
  assert.deepEqual(
    entries.map(({ what }) => what),
    Object.values(orders),
  );
});
