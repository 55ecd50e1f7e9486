import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { SupervisorError } from "../../../src/errors.ts";
import { visibleFiles } from "../../../src/engines/process/visible-files.ts";
import type { Wanted } from "../../../src/engines/process/visible-files.ts";

const shown = (wanted: Partial<Wanted>): string[] =>
  visibleFiles({
    program: "/usr/bin/env",
    cwd: "/",
    searchPath: undefined,
    paths: { read: [], write: [] },
    hidden: [],
    ...wanted,
  }).map(({ path }) => path);

function refusalOf(wanted: Partial<Wanted>): string {
  try {
    return assert.fail(`shown: ${shown(wanted).join()}`);
  } catch (error) {
    assert.ok(
      error instanceof SupervisorError && error.code === "INSTANCE_SPAWN_FAILED",
      String(error),
    );
    return error.details.join();
  }
}

/** A home folder that is ours for the time of the test. */
function makeHome(t: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), "home-"));
  const before = process.env["HOME"];
  process.env["HOME"] = home;
  t.after(() => {
    if (before === undefined) delete process.env["HOME"];
    else process.env["HOME"] = before;
    rmSync(home, { recursive: true });
  });
  return home;
}

test("a home, or another folder with everybody's things, is not shown for being the cwd", (t) => {
  const home = makeHome(t);
  mkdirSync(join(home, ".config/mcp"), { recursive: true });
  symlinkSync(home, join(home, "link"));
  for (const cwd of [home, join(home, ".config"), join(home, "link"), "/var", "/var/lib", "/opt"])
    assert.match(refusalOf({ cwd }), /all of \S+ would be shown .* a folder of its own/, cwd);
  assert.deepEqual(shown({ cwd: join(home, ".config/mcp") }), [join(home, ".config/mcp")]);
});

test("it is where it is written into paths.read", (t) => {
  const home = makeHome(t);
  assert.deepEqual(shown({ cwd: home, paths: { read: [home], write: [] } }), [home]);
});

test("a cwd that every sandbox has of its own, or of the system's, shows nothing more", () => {
  for (const cwd of ["/", "/etc", "/tmp", "/usr", "/usr/local", "/usr/share"])
    assert.deepEqual(shown({ cwd }), [], cwd);
});

test("a program in a home or among everybody's things is shown alone", (t) => {
  const home = makeHome(t);
  const tool = join(home, "tool");
  mkdirSync(join(home, ".local/bin"), { recursive: true });
  for (const file of [tool, join(home, ".local/bin/tool")]) writeFileSync(file, "");
  assert.deepEqual(shown({ program: tool }), [tool]);
  assert.deepEqual(shown({ program: join(home, ".local/bin/tool") }), [join(home, ".local/bin")]);
});
