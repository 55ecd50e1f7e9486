import assert from "node:assert/strict";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { lackText } from "../../../src/engines/process/lacks.ts";
import { probeMachine } from "../../../src/engines/process/levels.ts";
import { notRoot } from "../../helpers/isolation.ts";
import { temporaryFolder } from "../../helpers/store.ts";

/** What keeps level `user` from a daemon with its data there. */
async function lacksWith(t: TestContext, place: (folder: string) => string): Promise<string> {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  const socketDir = join(folder, "run");
  mkdirSync(socketDir);
  const uids = { from: 61_001, to: 61_002 };
  const { user } = await probeMachine({ uids, dataDir: place(folder), socketDir });
  return user.map(lackText).join("\n");
}

test(
  "accounts of their own cannot come to homes below a folder that is closed, or that is not there yet",
  { skip: notRoot },
  async (t) => {
    assert.equal(await lacksWith(t, (folder) => join(folder, "data")), "");
    assert.match(
      await lacksWith(t, (folder) => join(folder, "missing/data")),
      /missing is not there, .* \(mkdir -p '.*missing'\)$/,
    );
    assert.match(
      await lacksWith(t, (folder) => {
        mkdirSync(join(folder, "closed"), { mode: 0o700 });
        return join(folder, "closed/data");
      }),
      /closed is closed to other accounts \(chmod o\+x/,
    );
  },
);
