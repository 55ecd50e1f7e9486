// npm run test:image: carries out the Dockerfile, in a Debian that stands in for its base image, and runs
// the result in fresh namespaces as an engine of containers would. Where the machine cannot do that it
// says why, and exits 0, or 1 with --require. `--tar FILE` is a Debian that was made before.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { until } from "../helpers/until.ts";
import { CannotRun, buildRoot } from "./build.ts";
import { ROOT, imageConfig } from "./dockerfile.ts";
import { Container, makeVolumes, runOnce } from "./system.ts";

const { values } = parseArgs({
  options: { require: { type: "boolean", default: false }, tar: { type: "string" } },
});
const CLI = ["mcp-supervisor", "--json"];
const MAX_STOP_MS = 10_000;
const FORKING_CHILDREN = 20;

async function runAsItIs(root: string, folder: string): Promise<void> {
  const container = new Container({ root, volumes: makeVolumes(join(folder, "a")) });
  try {
    await container.serves();
    assert.ok(container.processes().every(({ uid }) => uid === 1000));
    const health = container.exec(imageConfig().healthCheck);
    assert.equal(health.status, 0, health.stderr);
    const touched = container.exec(["sh", "-c", "touch /etc/x; touch /app/x; touch /usr/x"]);
    assert.equal(touched.stderr.match(/Read-only file system/g)?.length, 3, touched.stderr);
    const added = container.exec(
      [...CLI, "user", "add", "alice", "--token-stdin"],
      "a-token-of-alice",
    );
    assert.equal(added.status, 0, added.stderr);
    const started = container.exec([...CLI, "start", "alice"]);
    assert.equal(started.status, 0, started.stderr);
    const told = JSON.parse(container.exec([...CLI, "status"]).stdout) as {
      instances: { isolation: string; state: string }[];
    };
    assert.deepEqual(
      told.instances.map(({ isolation, state }) => ({ isolation, state })),
      [{ isolation: "sandbox", state: "ready" }],
    );
    const rotated = container.exec([...CLI, "keyring", "rotate"]);
    assert.equal(rotated.status, 0, rotated.stderr);
    const backup = container.exec(["mcp-supervisor", "backup", "-"]);
    assert.equal(backup.status, 0, backup.stderr);
  } finally {
    const { ms, code } = await container.stop();
    console.log(`SIGTERM: ended in ${ms.toFixed(0)} ms with ${code}`);
    assert.ok(ms < MAX_STOP_MS);
    assert.equal(code, 0);
  }
  console.log(
    "uid 1000, read-only, healthy; a child in a sandbox; a key changed and a backup made",
  );
}

async function runMasked(root: string, folder: string): Promise<void> {
  const volumes = makeVolumes(join(folder, "b"));
  const container = new Container({ root, volumes, isMasked: true });
  assert.equal(await container.ended(), 78, container.output);
  assert.match(container.output, /Can't mount proc/);
  console.log(
    "with the parts of /proc covered: refused at the start, exit 78, and no child without isolation",
  );
}

/** With the commands of the page, on new volumes, what the first container had. */
async function runRestored(root: string, folder: string): Promise<void> {
  const lost = { root, volumes: join(folder, "a") };
  const files = new Map([
    ["vault.key", runOnce(lost, ["cat", "/key/vault.key"]).stdout],
    ["mcp-backup.db", runOnce(lost, ["mcp-supervisor", "backup", "-"]).stdout],
  ]);
  const volumes = makeVolumes(join(folder, "d"));
  const page = readFileSync(join(ROOT, "docs/containers.md"), "utf8");
  const commands = /^docker compose run --rm -T --entrypoint (\S+) mcp-supervisor (.+) < (\S+)$/gm;
  for (const [line, program, args, input] of page.matchAll(commands)) {
    const command = ["sh", "-c", `${program} ${args}`];
    const { status, stderr } = runOnce({ root, volumes }, command, files.get(input!));
    assert.equal(status, 0, `${line}\n${stderr.toString()}`);
    files.delete(input!);
  }
  assert.equal(files.size, 0);
  const container = new Container({ root, volumes });
  try {
    await container.serves();
    const listed = container.exec([...CLI, "user", "list"]).stdout;
    assert.match(listed, /"user":"alice"/);
  } finally {
    await container.stop();
  }
  console.log("on new volumes the page's commands bring back what the first container had");
}

/** Children that leave processes behind, which fall to the first process of the container. */
async function runForking(root: string, folder: string): Promise<void> {
  cpSync(join(ROOT, "test/fixtures/servers"), join(root, "opt/servers"), { recursive: true });
  const leaver = join(root, "opt/servers/leaves-orphans.mjs");
  writeFileSync(
    leaver,
    `import { spawn } from "node:child_process";
for (let i = 0; i < 5; i += 1) spawn("sh", ["-c", "sleep 0.2 & sleep 0.1 & exit 0"], { stdio: "ignore", detached: true }).unref();
await import("./echo-sse.ts");\n`,
  );
  const config = {
    dataDir: "/data",
    keyFile: "/key/vault.key",
    listen: { host: "127.0.0.1", port: 5000 },
    isolation: "none",
    limits: { children: 50 },
    servers: {
      forks: {
        type: "sse",
        command: "node",
        args: ["--no-warnings", "leaves-orphans.mjs", "--port", "${port}"],
        cwd: "/opt/servers",
      },
    },
  };
  const configFile = "/opt/forks.config.json";
  writeFileSync(join(root, configFile), JSON.stringify(config));
  const container = new Container({ root, volumes: makeVolumes(join(folder, "c")), configFile });
  try {
    await container.serves();
    const names = Array.from({ length: FORKING_CHILDREN }, (_, index) => `u${index}`);
    for (const name of names) {
      const done = container.exec([
        "sh",
        "-c",
        `mcp-supervisor --json user add ${name} >/dev/null && mcp-supervisor --json start ${name} >/dev/null`,
      ]);
      assert.equal(done.status, 0, done.stderr);
    }
    for (const name of names.slice(0, FORKING_CHILDREN / 2))
      assert.equal(container.exec([...CLI, "stop", name]).status, 0);
    await until(
      () => container.processes().every(({ state }) => state !== "Z"),
      "no zombie is left",
      10_000,
    );
    const living = container.processes().map(({ name }) => name);
    assert.ok(!living.includes("sleep"), living.join(" "));
    console.log(`${FORKING_CHILDREN} children that forked and left: no zombie`);
  } finally {
    const { ms, code } = await container.stop();
    console.log(
      `SIGTERM with ${FORKING_CHILDREN / 2} children: ended in ${ms.toFixed(0)} ms with ${code}`,
    );
    assert.ok(ms < MAX_STOP_MS);
  }
}

const folder = mkdtempSync(join(tmpdir(), "mcps-image-"));
try {
  const root = buildRoot(folder, values.tar);
  console.log(spawnSync("du", ["-sh", root], { encoding: "utf8" }).stdout.split("\t")[0]);
  await runAsItIs(root, folder);
  await runRestored(root, folder);
  await runMasked(root, folder);
  await runForking(root, folder);
} catch (error) {
  if (!(error instanceof CannotRun)) throw error;
  if (values.require) process.exitCode = 1;
  console.log(
    `# ${values.require ? "cannot run" : "SKIP"} the tests of the image: ${error.message}`,
  );
} finally {
  spawnSync("rm", ["-rf", "--one-file-system", folder]);
}
