import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { installProduct, must, packProduct } from "../helpers/pack.ts";
import { temporaryFolder } from "../helpers/store.ts";

const MAX_BYTES = 25 * 1024 ** 2;

test("the tarball installs from itself alone, replaces what was there, and runs", (t) => {
  const folder = temporaryFolder(t);
  const tarball = packProduct(folder);
  assert.ok(statSync(tarball).size < MAX_BYTES, `${statSync(tarball).size} bytes`);
  const prefix = join(folder, "prefix");
  const program = join(prefix, "bin", "mcp-supervisor");
  // An earlier version, with a file that this one has not.
  const installed = join(prefix, "lib", "node_modules", "mcp-supervisor");
  const leftover = join(installed, "dist", "of-an-earlier-version.js");
  mkdirSync(dirname(leftover), { recursive: true });
  writeFileSync(leftover, "");
  writeFileSync(
    join(installed, "package.json"),
    JSON.stringify({ name: "mcp-supervisor", version: "0.0.1" }),
  );
  installProduct(tarball, prefix);
  assert.ok(!existsSync(leftover), "an upgrade takes the whole place");

  const run = (...args: string[]) =>
    spawnSync(program, args, {
      encoding: "utf8",
      cwd: folder,
      env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: folder, TMPDIR: folder },
    });
  const { version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
    version: string;
  };
  assert.equal(run("--version").stdout, `${version}\n`);

  // The checkout's own config may hold secrets by now.
  const packed = must("tar", ["-tzf", tarball]).split("\n");
  assert.ok(packed.includes("package/docs/mcp-supervisor.1"), "the man page is packed");
  assert.ok(packed.includes("package/dist/assets/page.js"), "the pages are packed");
  const configs = packed.filter((name) =>
    /^package\/(?!node_modules\/).*\.config\.json$/.test(name),
  );
  assert.deepEqual(configs.toSorted(), [
    "package/defaults/supervisor.config.json",
    "package/examples/gmail/supervisor.config.json",
  ]);
  const { man } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
    man: string;
  };
  assert.ok(existsSync(join(installed, man)));
  const shipped = join(installed, "defaults", "supervisor.config.json");
  assert.equal(run("config", "check", "--config", shipped).status, 0);
  const { servers } = JSON.parse(readFileSync(shipped, "utf8")) as {
    servers: { everything: { cwd: string; args: string[] } };
  };
  const { cwd, args } = servers.everything;
  assert.ok(existsSync(join(dirname(shipped), cwd, args[0]!)), "what it starts is in the tarball");

  const demo = run("demo", "--once", "--json");
  assert.equal(demo.status, 0, demo.stderr);
  assert.equal((JSON.parse(demo.stdout) as { ok: boolean }).ok, true);
});

test("the package bundles every dependency that it has", () => {
  const manifest = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  ) as {
    dependencies: object;
    optionalDependencies: object;
    bundleDependencies: string[];
  };
  assert.deepEqual(
    manifest.bundleDependencies.toSorted(),
    Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }).toSorted(),
  );
});
