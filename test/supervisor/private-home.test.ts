import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openWayToHomes } from "../../src/runners/levels.ts";
import { preparePrivateHome } from "../../src/supervisor/private-home.ts";
import { notRoot } from "../helpers/isolation.ts";

const UID = 61_152;
const ref = { user: "alice", server: "mail", variant: "" };

test(
  "a child's TMPDIR is emptied with the child's own rights, so that it can lead root nowhere",
  { skip: notRoot },
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "mcps-home-"));
    t.after(() => rmSync(dir, { recursive: true }));
    openWayToHomes(dir);
    const first = await preparePrivateHome(dir, ref, UID);
    for (const place of [first.home, first.tmp]) assert.equal(statSync(place).uid, UID);
    const script = 'cd "$1"; mkdir -p deep/er; echo x > deep/er/file; ln -s / away';
    const as = ["--reuid", `${UID}`, "--regid", `${UID}`, "--clear-groups"];
    assert.equal(spawnSync("setpriv", [...as, "sh", "-ec", script, "sh", first.tmp]).status, 0);
    const again = await preparePrivateHome(dir, ref, UID);
    assert.deepEqual(readdirSync(again.tmp), []);
    assert.deepEqual([statSync(again.tmp).uid, statSync(again.tmp).mode & 0o777], [UID, 0o700]);
    // What only root may remove can have come there by a trick alone.
    const [roots, tmp] = [join(dir, "roots"), join(again.home, "tmp")];
    assert.equal(
      spawnSync("sh", ["-ec", `mkdir -m 700 ${roots}; touch ${roots}/file; mv ${roots} ${tmp}/`])
        .status,
      0,
    );
    await assert.rejects(preparePrivateHome(dir, ref, UID), /Permission denied/);
    assert.ok(existsSync(join(tmp, "roots/file")));
  },
);
