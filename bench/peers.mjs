// Other bridges, at the versions named here, over the same stdio child: fetched from npm and crates.io when
// a bench wants them, so that nobody who installs this project gets them.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const CACHE = fileURLToPath(new URL("../node_modules/.cache/bench-peers", import.meta.url));
const CHILD = fileURLToPath(new URL("./echo-stdio.mjs", import.meta.url));
const START_MS = 30_000;
const FETCH_MS = 600_000;
/** Optimised code of many crates takes as long as that on two cores. */
const BUILD_MS = 2_400_000;

const manifestOf = (name) => join(CACHE, "node_modules", name, "package.json");
const readManifest = (name) => JSON.parse(readFileSync(manifestOf(name), "utf8"));

/** The script of an npm package, on this Node. */
function scriptOf(name, args) {
  const { bin } = readManifest(name);
  const file = join(CACHE, "node_modules", name, typeof bin === "string" ? bin : bin[name]);
  return [process.execPath, file, ...args];
}

const RUST = { crate: "mcp-proxy", version: "0.4.3" };
const RUST_ROOT = join(CACHE, `${RUST.crate}-${RUST.version}`);
const RUST_PROGRAM = join(RUST_ROOT, "bin", RUST.crate);

function rustConfig(port) {
  const file = join(CACHE, `mcp-proxy-${port}.toml`);
  const [host, command, child] = ["127.0.0.1", process.execPath, CHILD].map((text) =>
    JSON.stringify(text),
  );
  const listen = `[proxy.listen]\nhost = ${host}\nport = ${port}\n`;
  const backend = `[[backends]]\nname = "it"\ntransport = "stdio"\ncommand = ${command}\nargs = [${child}]\n`;
  const quiet = `[observability]\nlog_level = "error"\n`;
  writeFileSync(file, `[proxy]\nname = "bench"\nseparator = "/"\n${listen}\n${backend}\n${quiet}`);
  return file;
}

const PEERS = [
  {
    name: "mcp-proxy",
    version: "6.7.19",
    from: "npm",
    transports: ["sse", "http"],
    argv: (transport, port) => {
      const server = transport === "sse" ? "sse" : "stream";
      const where = ["--host", "127.0.0.1", "--port", port, "--server", server];
      return scriptOf("mcp-proxy", [...where, "--", process.execPath, CHILD]);
    },
  },
  {
    name: "supergateway",
    version: "4.0.0",
    from: "npm",
    transports: ["sse", "http"],
    argv: (transport, port) => {
      const child = `'${process.execPath}' '${CHILD}'`;
      const all = ["--stdio", child, "--port", port, "--logLevel", "none"];
      const http = ["--outputTransport", "streamableHttp", "--stateful"];
      return scriptOf("supergateway", transport === "sse" ? all : [...all, ...http]);
    },
  },
  {
    name: "mcp-proxy (Rust)",
    version: RUST.version,
    from: "crates.io",
    transports: ["http"],
    path: "/",
    /** It puts the name of the server before that of the tool. */
    tool: "it/echo",
    argv: (_, port) => [RUST_PROGRAM, "--config", rustConfig(port)],
  },
];

const isThere = ({ name, version, from }) =>
  from === "npm"
    ? existsSync(manifestOf(name)) && readManifest(name).version === version
    : existsSync(RUST_PROGRAM);

function fetchFromNpm(wanted) {
  const exact = wanted.map(({ name, version }) => `${name}@${version}`);
  const flags = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  spawnSync("npm", ["install", "--prefix", CACHE, ...flags, ...exact], {
    stdio: ["ignore", 2, 2],
    timeout: FETCH_MS,
  });
}

function fetchFromCrates() {
  const crate = `${RUST.crate}@${RUST.version}`;
  const args = ["install", crate, "--locked", "--quiet", "--root", RUST_ROOT];
  spawnSync("cargo", args, { stdio: ["ignore", 2, 2], timeout: BUILD_MS });
}

/** All bridges that are to be measured, each with whether it is there: not where npm or cargo cannot bring it. */
export function fetchPeers() {
  mkdirSync(CACHE, { recursive: true });
  const npm = PEERS.filter(({ from }) => from === "npm");
  if (!npm.every(isThere)) {
    console.error("fetching the other bridges from npm …");
    fetchFromNpm(npm);
  }
  if (!existsSync(RUST_PROGRAM)) {
    console.error("building the other bridge from crates.io …");
    fetchFromCrates();
  }
  return PEERS.map((peer) => ({ ...peer, isThere: isThere(peer) }));
}

/** Resolves when the bridge takes connections. */
export async function startPeer({ name, argv, path }, transport, port) {
  const [program, ...args] = argv(transport, String(port));
  // A group of its own: supergateway leaves a shell and a child per session behind.
  const child = spawn(program, args, { stdio: "ignore", detached: true });
  const exited = once(child, "exit");
  let isStopped = false;
  const stop = async () => {
    if (isStopped) return;
    isStopped = true;
    if (child.exitCode === null) process.kill(-Number(child.pid), "SIGKILL");
    await exited;
  };
  const deadline = performance.now() + START_MS;
  while (!(await takesConnections(port))) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    if (performance.now() > deadline) {
      await stop();
      throw new Error(`${name} does not listen`);
    }
    await sleep(20);
  }
  const usual = transport === "sse" ? "/sse" : "/mcp";
  return { url: `http://127.0.0.1:${port}${path ?? usual}`, pid: child.pid, stop };
}

export function takesConnections(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
