import assert from "node:assert/strict";
import { test } from "node:test";
import { requireSlug } from "../../src/platform/slug.ts";
import type { SupervisorError } from "../../src/errors.ts";
import { BAD_NAMES } from "../helpers/store.ts";

for (const [what, name] of Object.entries(BAD_NAMES))
  test(`a name ${what} is refused with a sentence that does not repeat it`, () => {
    assert.throws(
      () => requireSlug("user", name),
      (error: SupervisorError) => {
        assert.equal(error.code, "REQUEST_INVALID");
        assert.equal(
          error.message,
          "the name of a user must be 1 to 63 characters from a-z, 0-9, _ and -, and begin with a letter or a digit",
        );
        return true;
      },
    );
  });

test("a name is 1 to 63 plain characters", () => {
  for (const name of ["a", "0", "ada", "ada_b-2", "a".repeat(63)])
    assert.equal(requireSlug("server", name), name);
  assert.throws(() => requireSlug("server", 5), { code: "REQUEST_INVALID" });
  assert.throws(() => requireSlug("server", ["ada"]), { code: "REQUEST_INVALID" });
});
