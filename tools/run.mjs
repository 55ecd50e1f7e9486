// Runs a task of this checkout on the Node that the checkout brings, after making sure that
// dependencies and build are there and fresh. Plain Node (any version from 18), no imports from
// node_modules: on a fresh clone this file is all there is.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "node_modules", ".bin");
const node = join(bin, "node");
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };

const mtime = (path) => statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;

function newestBelow(folder) {
  let newest = mtime(folder);
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    newest = Math.max(newest, entry.isDirectory() ? newestBelow(path) : mtime(path));
  }
  return newest;
}

function must(what, command, args) {
  const done = spawnSync(command, args, { cwd: root, env, stdio: ["ignore", 2, 2] });
  if (done.error || done.status !== 0) {
    console.error(
      `mcp-supervisor: ${what} failed (${done.error?.message ?? `exit ${done.status}`})`,
    );
    process.exit(1);
  }
}

/** Installs and builds what is missing or older than what it is made from; silent when all is fresh. */
function setup() {
  if (!existsSync(node) || mtime("node_modules/.package-lock.json") < mtime("package-lock.json")) {
    console.error("mcp-supervisor: installing dependencies (npm ci), about half a minute …");
    // The engine warnings of npm speak of the Node that npm runs on, not of the one used here.
    const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
    // Without scripts, because npm 10 and 11 compile a bundled package that has its binaries with it
    // (better-sqlite3), and stop where there is no compiler. The Node that the checkout brings is fetched by one.
    must("npm ci", "npm", ["ci", "--ignore-scripts", ...quiet]);
    must("npm rebuild node", "npm", ["rebuild", "node", ...quiet]);
  }
  const built = mtime("dist/.built");
  if (built < newestBelow("src") || built < mtime("tsconfig.json")) {
    console.error("mcp-supervisor: building …");
    must("the build", node, [join(root, "tools", "build.mjs")]);
  }
}

const tasks = {
  setup: [],
  start: ["bin/mcp-supervisor.js", "serve"],
  demo: ["bin/mcp-supervisor.js", "demo"],
  test: ["tools/test.mjs"],
  "test:unit": ["tools/test.mjs", "--unit"],
  "test:long": ["tools/test.mjs", "--long"],
  browser: ["tools/test.mjs", "--browser"],
  "test:nodes": ["tools/nodes.mjs"],
  "test:systemd": ["test/boot/run.ts"],
  "test:deb": ["test/boot/run.ts", "--only", "deb"],
  "test:first": ["test/boot/run.ts", "--only", "first"],
  "test:image": ["test/image/run.ts"],
  "test:kubernetes": ["tools/kubernetes/test.mjs"],
  bench: ["bench/run.mjs"],
  docs: ["tools/docs.mjs"],
  deb: ["tools/deb.mjs"],
  bodies: ["bench/bodies.mjs"],
  conformance: ["test/conformance/run.ts"],
  interop: ["test/interop/run.ts"],
  torture: ["test/torture/main.ts"],
  hog: ["test/hog/main.ts"],
  mixups: ["test/mixups/run.ts"],
  "vault-drill": ["test/vault-drill/main.ts"],
  tokens: ["test/tokens-drill/main.ts"],
  churn: ["test/churn/main.ts"],
  survive: ["test/survive/main.ts"],
  mutations: ["test/mutations/main.ts"],
  requests: ["test/requests/main.ts"],
};

/** Ends as the child does, and hands on what this process is told, so that a signal to npm reaches the task. */
function become(command, args) {
  const child = spawn(command, args, { cwd: root, env, stdio: "inherit" });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals)
    process.on(signal, () => {
      // A terminal has told the child itself.
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  child.once("error", (error) => {
    console.error(`mcp-supervisor: ${command} cannot be started (${error.message})`);
    process.exit(1);
  });
  child.once("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    for (const name of signals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}

const [task, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(tasks, task ?? "")) {
  console.error(`usage: node tools/run.mjs ${Object.keys(tasks).join("|")} [arguments]`);
  process.exit(2);
}
setup();
if (task !== "setup") {
  const [file, ...args] = tasks[task];
  // Memory is what many processes at once are short of; the unit tests are three, and make much garbage.
  const semiSpace = task === "test:unit" ? 16 : 2;
  const flags = [`--max-semi-space-size=${semiSpace}`, "--no-warnings"];
  become(node, [...flags, join(root, file), ...args, ...rest]);
}
