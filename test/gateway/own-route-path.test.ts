import assert from "node:assert/strict";
import { test } from "node:test";
import { locationFor, routeOf, withoutSecret } from "../../src/gateway/own-route-path.ts";
import { createOwnRouter } from "../../src/gateway/routes.ts";
import { HOSTILE_PATHS } from "../helpers/hostile-paths.ts";

const route = createOwnRouter("/mcp");

test("a server's own path is what stands behind the dash, raw, with or without the public prefix", () => {
  for (const prefix of ["", "/mcp"])
    assert.deepEqual(route(`${prefix}/u/alice/notes/-/files/a%20b?x=/../`), {
      user: "alice",
      server: "notes",
      path: "/files/a%20b",
    });
  for (const url of [
    "/u/alice/-/files",
    "/u/alice/notes/-",
    "/u/alice/notes/-files",
    "/u//notes/-/x",
  ])
    assert.equal(route(url), undefined, url);
});

test("a path leads on where it is below a route, as it stands", () => {
  const routes = ["/files", "/hooks/", "/exact.json"];
  for (const path of [
    "/files",
    "/files/",
    "/files/a",
    "/files/a/b.pdf",
    "/files/a%20b",
    "/files/%E7%BB%98",
    "/files/a;v=1",
    "/files/...",
    "/files/.well",
    "/hooks/",
    "/hooks/x",
    "/exact.json",
  ])
    assert.notEqual(routeOf(path, routes), undefined, path);
  for (const path of [
    "/",
    "/filesx",
    "/file",
    "/hooks",
    "/hook",
    "/FILES/a",
    "/exact.json5",
    "/sse",
    "/%66iles/a",
  ])
    assert.equal(routeOf(path, routes), undefined, path);
  assert.equal(routeOf("/files", []), undefined);
  assert.equal(routeOf("/any/thing", ["/"]), "/");
});

test("no path that two readers could take for two is below any route", () => {
  assert.ok(HOSTILE_PATHS.length >= 30);
  for (const path of HOSTILE_PATHS) {
    const found = route(`/u/alice/notes/-${path}`);
    const prefix = found === undefined ? undefined : routeOf(found.path, ["/"]);
    assert.equal(prefix, undefined, path);
  }
});

test("the secret is taken out of the query, and nothing else", () => {
  for (const [query, left] of [
    ["", "/a"],
    ["token=x", "/a"],
    ["a=1&token=x&b=%20", "/a?a=1&b=%20"],
    ["%74oken=x&tokens=y&a=token=z", "/a?tokens=y&a=token=z"],
    ["token&x", "/a?x"],
    ["%&token=x", "/a?%"],
  ] as const)
    assert.equal(withoutSecret("/a", query), left, query);
});

test("a Location stays below the route that was asked for, or is left out", () => {
  const asked = new URL("http://127.0.0.1:4000/files/a/b");
  const to = (said: string) =>
    locationFor(said, asked, { prefix: "/files", base: "/u/alice/notes/-" });
  for (const [said, location] of [
    ["c", "/u/alice/notes/-/files/a/c"],
    ["/files/x?y=1#z", "/u/alice/notes/-/files/x?y=1#z"],
    ["http://127.0.0.1:4000/files/x", "/u/alice/notes/-/files/x"],
    ["http://localhost:4000/files", "/u/alice/notes/-/files"],
    ["../../files/x", "/u/alice/notes/-/files/x"],
    ["../../secret", undefined],
    ["/filesx", undefined],
    ["/files/../secret", undefined],
    ["/files/%2e%2e/secret", undefined],
    ["/files/..%2fsecret", undefined],
    ["//evil.example/files/x", undefined],
    ["/\\evil.example/files/x", undefined],
    ["http://127.0.0.1:4001/files/x", undefined],
    ["https://127.0.0.1:4000/files/x", undefined],
    ["http://a@127.0.0.1:4000/files/x", undefined],
    ["javascript:alert(1)", undefined],
    ["http://[", undefined],
  ] as const)
    assert.equal(to(said), location, said);
  assert.equal(locationFor(undefined, asked, { prefix: "/files", base: "" }), undefined);
});
