// Other bridges, at the versions named here, over the same stdio child: fetched from npm when a bench
// wants them, so that nobody who installs this project gets them.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const CACHE = fileURLToPath(new URL("../node_modules/.cache/bench-peers", import.meta.url));
const CHILD = fileURLToPath(new URL("./echo-stdio.mjs", import.meta.url));
const START_MS = 30_000;

const PEERS = {
  "mcp-proxy": {
    version: "6.7.19",
    args: (transport, port) => {
      const server = transport === "sse" ? "sse" : "stream";
      const where = ["--host", "127.0.0.1", "--port", port, "--server", server];
      return [...where, "--", process.execPath, CHILD];
    },
  },
  supergateway: {
    version: "4.0.0",
    args: (transport, port) => {
      const child = `'${process.execPath}' '${CHILD}'`;
      const all = ["--stdio", child, "--port", port, "--logLevel", "none"];
      return transport === "sse"
        ? all
        : [...all, "--outputTransport", "streamableHttp", "--stateful"];
    },
  },
};

const manifestOf = (name) => join(CACHE, "node_modules", name, "package.json");
const versionOf = (name) =>
  existsSync(manifestOf(name)) ? JSON.parse(readFileSync(manifestOf(name), "utf8")).version : "";

/** Names and versions of the bridges that are there to be measured; none where npm cannot fetch them. */
export function fetchPeers() {
  const wanted = Object.entries(PEERS);
  if (wanted.some(([name, { version }]) => versionOf(name) !== version)) {
    console.error("fetching the other bridges from npm …");
    mkdirSync(CACHE, { recursive: true });
    const exact = wanted.map(([name, { version }]) => `${name}@${version}`);
    const flags = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    spawnSync("npm", ["install", "--prefix", CACHE, ...flags, ...exact], {
      stdio: ["ignore", 2, 2],
      timeout: 600_000,
    });
  }
  const there = wanted
    .filter(([name, { version }]) => versionOf(name) === version)
    .map(([name, { version }]) => ({ name, version }));
  if (there.length < wanted.length)
    console.error("npm did not bring all of them: their rows are left out");
  return there;
}

/** Resolves when the bridge takes connections. */
export async function startPeer(name, transport, port) {
  const { bin } = JSON.parse(readFileSync(manifestOf(name), "utf8"));
  const file = join(CACHE, "node_modules", name, typeof bin === "string" ? bin : bin[name]);
  // A group of its own: supergateway leaves a shell and a child per session behind.
  const child = spawn(process.execPath, [file, ...PEERS[name].args(transport, String(port))], {
    stdio: "ignore",
    detached: true,
  });
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
  const leaf = transport === "sse" ? "sse" : "mcp";
  return { url: `http://127.0.0.1:${port}/${leaf}`, pid: child.pid, stop };
}

function takesConnections(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
