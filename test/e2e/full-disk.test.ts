import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { atEnd, daemonFolder } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { call } from "../helpers/fixtures.ts";
import { notRoot } from "../helpers/isolation.ts";

/** Takes all the room that there is. */
function fill(file: string): void {
  for (let bytes = 1024 * 1024; bytes > 0;) {
    try {
      appendFileSync(file, Buffer.alloc(bytes));
    } catch {
      bytes >>= 1;
    }
  }
}

test(
  "on a full disk sessions begin and work over all fronts, and doctor tells that they would not outlive the daemon",
  { skip: notRoot },
  async (t) => {
    const dir = daemonFolder(t);
    const dataDir = join(dir, "data");
    mkdirSync(dataDir);
    const disk = ["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", dataDir];
    if (spawnSync("mount", disk).status !== 0)
      return t.skip("a small file system cannot be mounted here");
    atEnd(t, () => spawnSync("umount", ["-l", dataDir]));
    const servers = { relayed: echoServer("http"), bridged: echoServer("sse") };
    const { daemon, http, sse, post } = await startForAlice(t, servers, {}, { dir });
    const rest = join(dataDir, "rest");
    fill(rest);
    for (const server of Object.keys(servers)) {
      const session = await http(server);
      const path = `/u/alice/${server}/mcp`;
      const answer = await post(path, call("1", "echo", { message: "x" }), session);
      assert.equal(answer.status, 200, answer.body);
      await sse(server);
    }
    const { findings } = JSON.parse((await daemon.cli(["doctor"])).stdout) as {
      findings: { check: string; outcome: string; found: string }[];
    };
    const [told] = findings.filter(({ check }) => check === "sessions of clients");
    assert.equal(told?.outcome, "warning");
    assert.match(told.found, /would not outlive the daemon: .*the disk is full/);
    rmSync(rest);
  },
);
