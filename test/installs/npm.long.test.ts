import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { parseSpec } from "../../src/installs/installs.ts";
import { runCli } from "../helpers/daemon.ts";
import type { CliResult } from "../helpers/daemon.ts";
import { startNpmRegistry } from "../helpers/npm-registry.ts";
import type { NpmRegistry, Packaged } from "../helpers/npm-registry.ts";
import { temporaryFolder } from "../helpers/store.ts";

const SAY = `#!/usr/bin/env node
import { word } from "word";
import { writeFileSync } from "node:fs";
console.log(word);
`;
const server = (version: string) => ({
  manifest: {
    name: "@tools/server",
    version,
    type: "module",
    bin: { server: "server.js" },
    dependencies: { word: "1.0.0" },
    scripts: { postinstall: "node postinstall.js" },
  },
  files: {
    "server.js": SAY,
    "postinstall.js": 'import { writeFileSync } from "node:fs"; writeFileSync("ran", "");',
  },
});
const PACKAGES: Packaged[] = [
  server("1.0.0"),
  server("1.1.0"),
  {
    manifest: { name: "word", version: "1.0.0", type: "module", exports: "./word.js" },
    files: { "word.js": 'export const word = "hello";' },
  },
  {
    manifest: { name: "several", version: "1.0.0", bin: { one: "one.js", two: "two.js" } },
    files: { "one.js": "console.log(1)", "two.js": "console.log(2)" },
  },
];

interface Done {
  folder: string;
  command: string;
  args: string[];
  isNew: boolean;
  config: Record<string, { command: string; args: string[] }>;
}

interface Rig {
  dataDir: string;
  registry: NpmRegistry;
  run: (...args: string[]) => Promise<CliResult>;
}

async function rig(t: TestContext): Promise<Rig> {
  const dir = temporaryFolder(t);
  const config = join(dir, "supervisor.config.json");
  writeFileSync(config, JSON.stringify({ servers: { tools: { command: "true" } } }));
  const registry = await startNpmRegistry(t, PACKAGES);
  const run: Rig["run"] = (...args) =>
    runCli(["package", ...args, "--json", "--config", config], { env: registry.env });
  return { dataDir: join(dir, "data"), registry, run };
}

/** Every file and folder below, with the mode of each. */
function* treeOf(folder: string): Generator<[string, number]> {
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const status = lstatSync(join(folder, name));
    if (!status.isSymbolicLink()) yield [name, status.mode & 0o777];
  }
}

test("an npm package is fetched once, read-only and with a recipe that starts it", async (t) => {
  const { registry, run } = await rig(t);
  const done = (await run("install", "tools", "--npm", "@tools/server@1.0.0")).json<Done>();
  assert.equal(done.isNew, true);
  const recipe = done.config["tools"]!;
  assert.equal(recipe.command, process.execPath, "by this Node, and not by npx");
  const said = spawnSync(recipe.command, recipe.args, { encoding: "utf8", env: {} });
  assert.equal(said.stdout, "hello\n");
  const writable = [...treeOf(done.folder)].filter(([, mode]) => (mode & 0o222) !== 0);
  assert.deepEqual(writable, []);
  const unreadable = [...treeOf(done.folder)].filter(([, mode]) => (mode & 0o444) !== 0o444);
  assert.deepEqual(unreadable, []);
  assert.ok(
    !existsSync(join(done.folder, "node_modules/@tools/server/ran")),
    "it ran nothing of its own",
  );

  const before = registry.requests();
  const again = (await run("install", "tools", "--npm", "@tools/server@1.0.0")).json<Done>();
  assert.equal(again.isNew, false);
  assert.deepEqual(again.config, done.config);
  assert.equal(registry.requests(), before, "nothing is asked for again");
});

test("whatever the umask is, other accounts come to what is installed", async (t) => {
  const { dataDir, run } = await rig(t);
  const before = process.umask(0o077);
  t.after(() => process.umask(before));
  const modes = async () => {
    const { folder } = (await run("install", "tools", "--npm", "@tools/server@1.0.0")).json<Done>();
    return ["servers", "servers/tools", folder].map((name) =>
      (statSync(resolve(dataDir, name)).mode & 0o777).toString(8),
    );
  };
  assert.deepEqual(await modes(), ["755", "755", "555"]);
  for (const name of ["servers", "servers/tools"]) chmodSync(join(dataDir, name), 0o700);
  assert.deepEqual(await modes(), ["755", "755", "555"], "an older one is opened when asked for");
});

test("versions lie side by side, are listed, and go together", async (t) => {
  const { dataDir, run } = await rig(t);
  const first = (await run("install", "tools", "--npm", "@tools/server@1.0.0")).json<Done>();
  const second = (
    await run("install", "tools", "--npm", "@tools/server@1.1.0", "--allow-scripts")
  ).json<Done>();
  assert.ok(existsSync(first.args[0]!), "children of the first go on");
  assert.ok(existsSync(join(second.folder, "node_modules/@tools/server/ran")), "it was let");
  const { servers } = (await run("list")).json<{ servers: { version: string }[] }>();
  assert.deepEqual(
    servers.map(({ version }) => version),
    ["1.0.0", "1.1.0"],
  );
  const { removed } = (await run("uninstall", "tools")).json<{ removed: unknown[] }>();
  assert.equal(removed.length, 2);
  assert.deepEqual(readdirSync(join(dataDir, "servers")), []);
  assert.deepEqual((await run("uninstall", "tools")).json(), { removed: [] });
});

test("an install that fails says why and leaves nothing, not even of one that was killed", async (t) => {
  const { dataDir, run } = await rig(t);
  const halfDone = join(dataDir, "servers", "tools", "npm-@tools+server-9.9.9");
  mkdirSync(halfDone, { recursive: true, mode: 0o700 });
  writeFileSync(join(halfDone, "half"), "");
  const failed = await run("install", "tools", "--npm", "@tools/server@9.9.9");
  assert.equal(failed.code, 1);
  assert.equal(failed.stdout, "");
  assert.equal(failed.error().type, "INSTALL_FAILED");
  assert.match(failed.error().details?.join("\n") ?? "", /9\.9\.9/);
  assert.deepEqual(readdirSync(join(dataDir, "servers")), []);
  assert.deepEqual((await run("list")).json(), { servers: [] });
});

test("of several programs one must be named", async (t) => {
  const { run } = await rig(t);
  const failed = await run("install", "tools", "--npm", "several@1.0.0");
  assert.deepEqual(failed.error().details, ["--bin names one of: one, two"]);
  const done = (
    await run("install", "tools", "--npm", "several@1.0.0", "--bin", "two")
  ).json<Done>();
  assert.equal(spawnSync(done.command, done.args, { encoding: "utf8" }).stdout, "2\n");
});

test("what is no package with its exact version is a mistake of usage", async (t) => {
  const wrong: ["npm" | "pip", string][] = [
    ["npm", "server"],
    ["npm", "server@latest"],
    ["npm", "server@^1.0.0"],
    ["npm", "--registry=http://evil.example/@1.0.0"],
    ["npm", "../server@1.0.0"],
    ["npm", "git+https://evil.example/server@1.0.0"],
    ["pip", "server"],
    ["pip", "server>=1"],
    ["pip", "-r==1.0"],
  ];
  for (const [from, text] of wrong)
    assert.throws(() => parseSpec(from, text), { code: "USAGE" }, text);
  const { run } = await rig(t);
  assert.equal((await run("install", "tools")).code, 2);
  const both = ["--npm", "server@1.0.0", "--pip", "server==1.0.0"];
  assert.equal((await run("install", "tools", ...both)).code, 2);
  assert.equal((await run("install", "../tools", "--npm", "server@1.0.0")).code, 1);
});

test("the former names of install and uninstall work, and say their new one", async (t) => {
  const dir = temporaryFolder(t);
  const config = join(dir, "supervisor.config.json");
  writeFileSync(config, JSON.stringify({ servers: { tools: { command: "true" } } }));
  const run = (...args: string[]) => runCli(["server", ...args, "--config", config]);

  const installed = await run("install", "tools");
  assert.equal(installed.code, 2);
  assert.match(installed.stderr, /^mcp-supervisor: `server install` is now `package install`/);
  const removed = await run("uninstall", "tools");
  assert.deepEqual([removed.code, removed.stdout], [0, "nothing is installed for tools\n"]);
  assert.match(removed.stderr, /^mcp-supervisor: `server uninstall` is now `package uninstall`/);

  const forPrograms = await run("uninstall", "tools", "--json");
  assert.deepEqual([forPrograms.code, forPrograms.stderr], [0, ""]);
});
