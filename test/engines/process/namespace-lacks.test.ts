import assert from "node:assert/strict";
import { test } from "node:test";
import { lackText, remedyFor } from "../../../src/engines/process/lacks.ts";
import { attachLacks, namespaceLacks } from "../../../src/engines/process/namespace-lacks.ts";

/** A kernel with these settings; an ordinary one has neither of the two that some distributions add. */
const kernel = (settings: Record<string, number>) => (name: string) =>
  ({ "user/max_user_namespaces": 127_000, ...settings })[name];

const APPARMOR = { "kernel/apparmor_restrict_unprivileged_userns": 1 };

test("a kernel that gives user namespaces to everybody is not complained of", () => {
  assert.deepEqual(namespaceLacks("/usr/bin/bwrap", kernel({})), []);
  const open = {
    "kernel/unprivileged_userns_clone": 1,
    "kernel/apparmor_restrict_unprivileged_userns": 0,
  };
  assert.deepEqual(namespaceLacks("/usr/bin/bwrap", kernel(open)), []);
});

test("each setting that keeps user namespaces away is named with what switches them on", () => {
  const linesFor = (settings: Record<string, number>) =>
    namespaceLacks("/usr/bin/bwrap", kernel(settings)).map(lackText);
  assert.deepEqual(linesFor({ "kernel/unprivileged_userns_clone": 0 }), [
    "user namespaces are off (sysctl -w kernel.unprivileged_userns_clone=1), and the same in /etc/sysctl.d for the next boot",
  ]);
  assert.deepEqual(linesFor({ "user/max_user_namespaces": 0 }), [
    "user namespaces are off (sysctl -w user.max_user_namespaces=15000), and the same in /etc/sysctl.d for the next boot",
  ]);
  const [line, ...more] = linesFor(APPARMOR);
  assert.match(
    line!,
    /^AppArmor keeps user namespaces from \/usr\/bin\/bwrap .*apparmor\.d\/bwrap/,
  );
  assert.match(line!, /`userns,`.*profile bwrap .* userns, }.*apparmor_parser -r .*bwrap"\)$/);
  assert.deepEqual(more, []);
});

test("where bubblewrap has its profile and unshare has none, the network's failure names unshare", () => {
  const failed = { said: "Operation not permitted", unshare: "/usr/bin/unshare", isRoot: false };
  const lines = attachLacks(failed, kernel(APPARMOR)).map(lackText);
  assert.match(lines[0]!, /^AppArmor keeps user namespaces from \/usr\/bin\/unshare /);
  assert.match(lines[0]!, /apparmor\.d\/unshare .*, or set "network": "none"$/);
  assert.match(lines[1]!, /^the network could not be attached \(Operation not permitted\), or set/);
  assert.equal(attachLacks({ ...failed, isRoot: true }, kernel(APPARMOR)).length, 1);
  assert.equal(attachLacks(failed, kernel({})).length, 1);
});

test("what is missing is brought by one line: packages first, each thing once, with sudo for who needs it", () => {
  const lacks = [
    { found: "bubblewrap is not installed", install: "bubblewrap" },
    { found: "setpriv is not installed", install: "util-linux" },
    { found: "/dev/net/tun is missing", run: "modprobe tun", next: "or do without" },
    { found: "unshare is not installed", install: "util-linux" },
    { found: "bubblewrap says: no" },
  ];
  assert.match(
    remedyFor(lacks)!,
    /^(sudo )?(apt install|dnf install|apk add|pacman -S|zypper install) bubblewrap util-linux && (sudo )?modprobe tun$/,
  );
  assert.equal(remedyFor([lacks[4]!]), undefined);
});
