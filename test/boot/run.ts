// Boots a real systemd with the packed product installed in it, and runs the tests of inside/ there:
// in a container, or with --qemu in a machine of its own, whose kernel has every cgroup controller.
// `--only service` and `--only hog` leave the other one out; `--only deb` is the Debian package, alone,
// and `--only first` a first server of one's own, by the package and by the tarball. Where the machine cannot do that it says why, and
// exits 0, or 1 with --require: for whoever knows that this machine can.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { isInstalled } from "../helpers/installed.ts";
import { installProduct, packDeb, packProduct } from "../helpers/pack.ts";
import { bootContainer } from "./container.ts";
import { bootMachine } from "./machine.ts";
import { CannotRun, furnish, installFastMcp, installNpm, unpackSystem } from "./system.ts";

const { values } = parseArgs({
  options: {
    qemu: { type: "boolean", default: false },
    only: { type: "string" },
    require: { type: "boolean", default: false },
  },
});
const isMachine = values.qemu;
const SUITES = ["service", "hog"];
/** Not with the others: they install the product themselves. */
const ALONE = ["deb", "first"];
const suites = [...SUITES, ...ALONE].filter((name) =>
  values.only === undefined ? SUITES.includes(name) : values.only === name,
);
assert.ok(suites.length > 0, `--only ${[...SUITES, ...ALONE].join(" or ")}`);
const isFirst = suites.includes("first");
/** Its processor is made of software. */
const SLOWNESS_OF_A_MACHINE = 6;
const PROGRAMS = isMachine
  ? ["mmdebstrap", "qemu-system-x86_64", "mkfs.ext4", "debugfs"]
  : ["mmdebstrap", "systemd-nspawn"];

function requireMeans(): void {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new CannotRun("only root on Linux can boot a system");
  const missing = PROGRAMS.filter((program) => !isInstalled(program));
  if (missing.length > 0) throw new CannotRun(`not installed: ${missing.join(", ")}`);
}

const folder = mkdtempSync(join(tmpdir(), "mcps-boot-"));
const timed = <T>(what: string, work: () => T): T => {
  const startedAt = performance.now();
  const done = work();
  console.log(`# ${what}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  return done;
};
try {
  requireMeans();
  const root = join(folder, "root");
  timed("system", () => unpackSystem(root, { isMachine, hasPython: isFirst }));
  const tarball = timed("tarball", () => packProduct(folder));
  if (isFirst) {
    timed("FastMCP", () => installFastMcp(root));
    installNpm(root);
    copyFileSync(tarball, join(root, "opt", basename(tarball)));
  } else timed("package", () => installProduct(tarball, join(root, "usr", "local")));
  if (suites.some((name) => ALONE.includes(name)))
    timed("Debian package", () => packDeb(join(root, "opt")));
  furnish(root, { slowness: isMachine ? SLOWNESS_OF_A_MACHINE : 1, suites });
  process.exitCode = timed("boot and tests", () =>
    isMachine ? bootMachine(folder, root) : bootContainer(folder, root),
  );
} catch (error) {
  if (!(error instanceof CannotRun)) throw error;
  if (values.require) process.exitCode = 1;
  const outcome = values.require ? "cannot run" : "SKIP";
  console.log(`# ${outcome} the tests under a real systemd: ${error.message}`);
} finally {
  // Not rmSync alone: what a container made immutable or mounted must not be followed blindly.
  spawnSync("rm", ["-rf", "--one-file-system", folder]);
  rmSync(folder, { recursive: true, force: true });
}
