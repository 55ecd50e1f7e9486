import assert from "node:assert/strict";
import { test } from "node:test";
import { variantText } from "../../src/cli/variant.ts";
import { MODERN_VARIANT, ownVariant } from "../../src/instances/supervisor.ts";

test("a child is named by what it is for", () => {
  assert.deepEqual(
    ["", MODERN_VARIANT, ownVariant(), '{"roots":{},"sampling":{}}', "probe"].map(variantText),
    [
      null,
      "2026-07-28",
      "own child of a client that can be asked",
      "child of clients with roots, sampling",
      "probe",
    ],
  );
});
