// Hogs beside a calm user, where the kernel has the controllers to hold them.
import assert from "node:assert/strict";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { PACKAGE, SLOWNESS, run, systemctl } from "./system.ts";

/** What the tests' helpers start is the product as it was installed. */
const OWN_BIN = "/opt/bin";
const LOG = "/hog.log";
const CONTROLLERS = ["cpu", "memory", "pids"];
/** On a processor of software a call alone takes up to seconds, which no slice makes a percentile of. */
const PACE = `--seconds ${6 * SLOWNESS} ${SLOWNESS > 1 ? "--rounds 1 --named-only" : "--rounds 3"}`;

/** An ordinary account with a cgroup of its own, as the service has. */
const UNIT = `[Service]
Type=oneshot
DynamicUser=yes
Delegate=${CONTROLLERS.join(" ")}
ExecStart=${process.execPath} --no-warnings /opt/test/hog/main.ts --level sandbox --by-kernel ${PACE}
StandardOutput=append:${LOG}
StandardError=append:${LOG}
TimeoutStartSec=infinity
`;

test("a fork bomb, a memory hog and a CPU hog are held by the kernel and named, and on a real processor cost the user beside them little", (t) => {
  const offered = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" ");
  const missing = CONTROLLERS.filter((name) => !offered.includes(name));
  if (missing.length > 0)
    return t.skip(`this system has no cgroup controllers for ${missing.join(", ")}`);
  if (!existsSync(OWN_BIN)) symlinkSync(`${PACKAGE}/bin`, OWN_BIN);
  writeFileSync("/etc/systemd/system/hog.service", UNIT);
  systemctl("daemon-reload");
  const { code } = run("systemctl", ["start", "hog.service"]);
  const said = readFileSync(LOG, "utf8").trim();
  for (const line of said.split("\n")) console.log(`# ${line}`);
  assert.equal(code, 0, said);
  return undefined;
});
