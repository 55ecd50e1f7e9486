import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../bin/mcp-supervisor.js", import.meta.url));

/** Runs the program on this Node, which says that it is another. */
function runOn(version: string): { status: number | null; stderr: string } {
  const pretend = `Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`;
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--import", `data:text/javascript,${encodeURIComponent(pretend)}`, BIN, "--version"],
    { encoding: "utf8" },
  );
  return { status, stderr };
}

for (const version of ["18.20.4", "20.20.2", "22.12.0", "22.13.1"]) {
  test(`on Node ${version} the program ends with one clear line`, () => {
    const { status, stderr } = runOn(version);
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^mcp-supervisor: this is Node [\d.]+; Node 22\.14 or newer is needed\..*\n$/,
    );
  });
}

test("on the oldest Node that is good enough the program starts", () => {
  assert.deepEqual(runOn("22.14.0"), { status: 0, stderr: "" });
});
