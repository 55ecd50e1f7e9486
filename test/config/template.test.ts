import assert from "node:assert/strict";
import { test } from "node:test";
import { fillTemplate, hasPlaceholder } from "../../src/config/template.ts";

test("placeholders are filled in wherever they stand", () => {
  assert.equal(
    fillTemplate("--port=${port}/${user}/${user}", { port: 8841, user: "ada" }),
    "--port=8841/ada/ada",
  );
  assert.equal(fillTemplate("$port {user} $$ ${", {}), "$port {user} $$ ${");
});

test("a value is taken as it is, whatever it looks like", () => {
  assert.equal(
    fillTemplate("Bearer ${token}", { token: "$&${user}$1", user: "ada" }),
    "Bearer $&${user}$1",
  );
});

test("a value that is missing is never filled in as nothing", () => {
  assert.throws(() => fillTemplate("Bearer ${token}", { user: "ada" }), { code: "INTERNAL" });
  assert.throws(() => fillTemplate("Bearer ${token}", { token: undefined }), { code: "INTERNAL" });
  assert.throws(() => fillTemplate("${toString}", {}), { code: "INTERNAL" });
});

test("a placeholder is found only in its full form", () => {
  assert.equal(hasPlaceholder("a${token}", "token"), true);
  assert.equal(hasPlaceholder("$token {token} ${tokens}", "token"), false);
});
