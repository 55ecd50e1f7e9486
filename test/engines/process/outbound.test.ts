import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { NOBODY } from "../../../src/engines/process/confinement.ts";
import { noOutbound, notRoot } from "../../helpers/isolation.ts";
import { until } from "../../helpers/until.ts";

const PROGRAM = join(import.meta.dirname, "programs/starts-child.ts");

/** A machine where /tmp is a mount of its own that others see changes of, as under systemd. */
const SHARED_TMP = 'mount --bind /tmp /tmp && mount --make-rshared / && exec "$@"';

test(
  "attaching a network mounts nothing on the machine, whatever its /tmp is",
  { skip: noOutbound || notRoot },
  async (t) => {
    const dir = mkdtempSync("/var/tmp/mcps-outbound-");
    t.after(() => rmSync(dir, { recursive: true }));
    const home = join(dir, "home");
    mkdirSync(home);
    chownSync(home, NOBODY, NOBODY);
    const confinement = {
      level: "sandbox",
      uid: NOBODY,
      home,
      network: "full",
      port: null,
      socketDir: dir,
      reach: [],
      paths: { read: [], write: [] },
      hidden: [],
      shared: [],
    };
    const spec = {
      argv: ["/bin/sleep", "60"],
      cwd: "/",
      env: {},
      confinement,
      stdout: "lines",
      eofGraceMs: 0,
      stopTimeoutMs: 1000,
    };
    const argv = [process.execPath, "--no-warnings", PROGRAM, JSON.stringify(spec)];
    const daemon = spawn("unshare", ["--mount", "--", "sh", "-c", SHARED_TMP, "sh", ...argv], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => daemon.kill("SIGKILL"));
    let said = "";
    daemon.stdout.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
    await until(() => said.includes("started"), "the child has its network", 30_000);
    const mounts = readFileSync(`/proc/${daemon.pid}/mountinfo`, "utf8").split("\n");
    const onTmp = mounts.filter((line) => line.split(" ")[4] === "/tmp");
    assert.equal(onTmp.length, 1, onTmp.join("\n"));
  },
);
