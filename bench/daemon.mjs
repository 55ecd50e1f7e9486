// Starts a real daemon in a temporary folder and talks to its control socket.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const here = (file) => fileURLToPath(new URL(file, import.meta.url));

export function makeFolder(servers, overrides = {}) {
  const folder = mkdtempSync(join(tmpdir(), "mcp-bench-"));
  const config = {
    dataDir: "./data",
    listen: { host: "127.0.0.1", port: overrides.port ?? 18040 },
    limits: { streamsPerUser: 100_000, ...overrides.limits },
    admin: overrides.admin ?? false,
    isolation: "none",
    log: { level: overrides.logLevel ?? "error" },
    defaultServer: Object.keys(servers)[0],
    servers,
  };
  writeFileSync(join(folder, "supervisor.config.json"), JSON.stringify(config, null, 2));
  return {
    folder,
    // What it has to say on purpose is for a file, as a service's is for the journal.
    logFile: overrides.logLevel === undefined ? undefined : join(folder, "daemon.log"),
    config: join(folder, "supervisor.config.json"),
    url: `http://127.0.0.1:${config.listen.port}`,
  };
}

/**
 * `preload` is a module that runs in the daemon beside it; `onMessage` gets what that sends by `process.send`;
 * `checkout` is the one whose build is started, this one where nothing is said.
 */
export async function startDaemon(
  { folder, config, url, logFile },
  { preload, onMessage, checkout = root } = {},
) {
  const log = logFile === undefined ? "inherit" : openSync(logFile, "a");
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [
      ...(preload === undefined ? [] : ["--import", preload]),
      "--max-semi-space-size=2",
      join(checkout, "bin/mcp-supervisor.js"),
      "serve",
      "--config",
      config,
    ],
    {
      stdio: ["ignore", "ignore", log, ...(preload === undefined ? [] : ["ipc"])],
    },
  );
  if (onMessage !== undefined) child.on("message", onMessage);
  if (logFile !== undefined) closeSync(log);
  let exited = false;
  child.once("exit", () => (exited = true));
  for (;;) {
    if (exited) throw new Error("the daemon did not start");
    if (await isUp(url)) break;
    await sleep(5);
  }
  const startMs = performance.now() - started;
  return {
    pid: child.pid,
    startMs,
    send: (message) => child.send(message),
    api: (method, path, body) => api(join(folder, "data", "control.sock"), method, path, body),
    async stop() {
      child.kill("SIGTERM");
      if (!exited) await once(child, "exit");
    },
  };
}

/** A server of children that echo, over that transport. */
export const echoServer = (transport) =>
  transport === "stdio"
    ? { command: "node", args: [here("./echo-stdio.mjs")] }
    : {
        type: transport,
        command: "node",
        args: [here("./echo-http.mjs"), "--port", "${port}", "--endpoint", "absolute"],
      };

export const removeFolder = ({ folder }) => rmSync(folder, { recursive: true, force: true });

const isUp = (url) =>
  new Promise((resolve) => {
    http
      .get(`${url}/health`, (res) => {
        res.resume();
        resolve(res.statusCode === 200);
      })
      .on("error", () => resolve(false));
  });

function api(socketPath, method, path, body) {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const req = http.request(
      {
        socketPath,
        method,
        path,
        headers:
          text === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(text) },
      },
      (res) => {
        let data = "";
        res.setEncoding("utf8");
        res.on("data", (chunk) => (data += chunk));
        res.on("end", () =>
          res.statusCode < 300
            ? resolve(data === "" ? undefined : JSON.parse(data))
            : reject(new Error(`${method} ${path}: ${res.statusCode} ${data}`)),
        );
      },
    );
    req.on("error", reject);
    req.end(text);
  });
}

export const rssMiB = (pid) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
