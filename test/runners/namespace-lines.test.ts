import assert from "node:assert/strict";
import { test } from "node:test";
import { attachLines, namespaceLines } from "../../src/runners/namespace-lines.ts";

/** A kernel with these settings; an ordinary one has neither of the two that some distributions add. */
const kernel = (settings: Record<string, number>) => (name: string) =>
  ({ "user/max_user_namespaces": 127_000, ...settings })[name];

const APPARMOR = { "kernel/apparmor_restrict_unprivileged_userns": 1 };

test("a kernel that gives user namespaces to everybody is not complained of", () => {
  assert.deepEqual(namespaceLines("/usr/bin/bwrap", kernel({})), []);
  const open = {
    "kernel/unprivileged_userns_clone": 1,
    "kernel/apparmor_restrict_unprivileged_userns": 0,
  };
  assert.deepEqual(namespaceLines("/usr/bin/bwrap", kernel(open)), []);
});

test("each setting that keeps user namespaces away is named with what switches them on", () => {
  const linesFor = (settings: Record<string, number>) =>
    namespaceLines("/usr/bin/bwrap", kernel(settings));
  assert.deepEqual(linesFor({ "kernel/unprivileged_userns_clone": 0 }), [
    "user namespaces are off: sysctl kernel.unprivileged_userns_clone=1",
  ]);
  assert.deepEqual(linesFor({ "user/max_user_namespaces": 0 }), [
    "user namespaces are off: sysctl user.max_user_namespaces=15000",
  ]);
  const [line, ...more] = linesFor(APPARMOR);
  assert.match(
    line!,
    /^AppArmor keeps user namespaces from \/usr\/bin\/bwrap .*apparmor\.d\/bwrap/,
  );
  assert.match(line!, /`userns,`.*apparmor_parser -r$/);
  assert.deepEqual(more, []);
});

test("where bubblewrap has its profile and unshare has none, the network's failure names unshare", () => {
  const failed = { said: "Operation not permitted", unshare: "/usr/bin/unshare", isRoot: false };
  const lines = attachLines(failed, kernel(APPARMOR));
  assert.match(lines[0]!, /^AppArmor keeps user namespaces from \/usr\/bin\/unshare /);
  assert.match(lines[0]!, /apparmor\.d\/unshare .*, or set "network": "none"$/);
  assert.match(lines[1]!, /^the network could not be attached \(Operation not permitted\), or set/);
  assert.equal(attachLines({ ...failed, isRoot: true }, kernel(APPARMOR)).length, 1);
  assert.equal(attachLines(failed, kernel({})).length, 1);
});
