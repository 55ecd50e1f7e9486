import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findTool } from "../../src/engines/process/programs.ts";
import { startForAlice } from "../helpers/alice.ts";
import { daemonFolder } from "../helpers/daemon.ts";
import { call } from "../helpers/fixtures.ts";
import { boxed, noSandbox, notRoot } from "../helpers/isolation.ts";
import { until } from "../helpers/until.ts";

/** An account that nobody has. */
const UID = 60_993;
const BECOME = ["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups"];

/** Stands for bubblewrap 0.6: it refuses what came later as that one does. */
const oldBubblewrap = (real: string): string => `#!/bin/sh
if [ "$1" = --help ]; then ${real} --help | grep -v -e --disable-userns -e --size; exit; fi
for word; do
  case $word in
    --disable-userns|--size) echo "bwrap: Unknown option $word" >&2; exit 1;;
    --) break;;
  esac
done
exec ${real} "$@"
`;

test("a bubblewrap that is too old for some options makes sandboxes without them, and the admin is told what they lack", async (t) => {
  if (noSandbox !== false) return t.skip(noSandbox);
  if (notRoot !== false) return t.skip(notRoot);
  const canRun = [...BECOME, "bwrap", "--unshare-user", "--ro-bind", "/", "/"];
  if (spawnSync(canRun[0]!, [...canRun.slice(1), process.execPath, "--version"]).status !== 0)
    return t.skip("an account cannot use bubblewrap, or read this checkout");
  const dir = daemonFolder(t);
  const bin = join(dir, "old");
  mkdirSync(bin);
  writeFileSync(join(bin, "bwrap"), oldBubblewrap(findTool("bwrap")!));
  chmodSync(join(bin, "bwrap"), 0o755);
  for (const place of [dir, bin]) chownSync(place, UID, UID);
  const env = { PATH: `${bin}:${process.env["PATH"]}` };
  const rig = await startForAlice(
    t,
    { hostile: { ...boxed("hostile"), type: "sse" } },
    { isolation: "sandbox" },
    { dir, env, through: BECOME },
  );
  const { stream, endpoint } = await rig.sse("hostile");
  await rig.post(endpoint, call("tried", "attack"));
  const told = await until(
    () => stream.messages().find(({ id }) => id === "tried"),
    "it has tried all it can",
  );
  assert.match(JSON.stringify(told), /"text":"\[.*\]"/);
  assert.doesNotMatch(JSON.stringify(told), /a user namespace/);
  // What that option is for, a filter of the daemon's own does.
  assert.doesNotMatch(rig.daemon.log(), /user namespaces/);
  const warning = /too old for --size: .* install bubblewrap 0\.7 or later/;
  await until(() => warning.test(rig.daemon.log()), "it is warned of");
  return undefined;
});
