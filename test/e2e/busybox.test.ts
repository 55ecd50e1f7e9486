import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findTool } from "../../src/engines/process/programs.ts";
import { startForAlice } from "../helpers/alice.ts";
import { daemonFolder } from "../helpers/daemon.ts";
import { call, fixture } from "../helpers/fixtures.ts";
import { until } from "../helpers/until.ts";

const busybox = findTool("busybox");
const skip = busybox === undefined ? "busybox is not installed" : false;

test(
  "on a machine of BusyBox children start, and the admin is told what its programs cannot do",
  { skip },
  async (t) => {
    const dir = daemonFolder(t);
    const bin = join(dir, "busybox");
    mkdirSync(bin);
    for (const name of ["sh", "env", "setpriv", "unshare"]) symlinkSync(busybox!, join(bin, name));
    const env = { PATH: `${bin}:${process.env["PATH"]}` };
    const rig = await startForAlice(
      t,
      { echo: fixture("sse", "echo-sse") },
      { isolation: "none" },
      { dir, env },
    );
    const { stream, endpoint } = await rig.sse("echo");
    await rig.post(endpoint, call("hi", "echo", { text: "hi" }));
    await until(() => stream.messages().some(({ id }) => id === "hi"), "it answers");
    const missing = /setpriv of util-linux is missing/;
    await until(() => missing.test(rig.daemon.log()), "it is warned of");
    const { stdout } = await rig.daemon.cli(["doctor"], { env });
    assert.match(stdout, missing);
  },
);
