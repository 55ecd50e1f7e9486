// Times that are promised and that no test judges: what is left of a child that was killed, and when a
// client over SSE is told that its server is gone or cannot be had.
//   node bench/times.mjs [rounds]
import { existsSync, readFileSync } from "node:fs";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { initialize } from "./clients.mjs";
import { makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { table, tell } from "./report.mjs";

const ROUNDS = Number(process.argv[2] ?? 10);

/** Answers `initialize`; at a call it leaves a process in a session of its own, tells its pid on stderr, and answers nothing. */
const LEAVES = `
  const { spawn } = require("node:child_process");
  require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const { id, method, params } = JSON.parse(line);
    if (method === "tools/call") {
      const args = ["-e", "setInterval(() => {}, 1e6)"];
      const left = spawn(process.execPath, args, { detached: true, stdio: "ignore" });
      return process.stderr.write("left " + left.pid + " of " + process.pid + "\\n");
    }
    if (method !== "initialize") return;
    const result = { protocolVersion: params.protocolVersion, capabilities: {}, serverInfo: { name: "l", version: "1" } };
    process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, result }) + "\\n");
  });`;

const isAlive = (pid) =>
  existsSync(`/proc/${pid}/stat`) &&
  !/^[ZX]/.test(readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]);

async function until(isIt) {
  for (;;) {
    const found = await isIt();
    if (found) return found;
    await sleep(1);
  }
}

/** An SSE session: what is posted, and the moment at which the error for an id came. */
async function open(url, secret, server) {
  const auth = { authorization: `Bearer ${secret}` };
  const ask = (method, path, message) =>
    new Promise((resolve, reject) => {
      const body = message && JSON.stringify({ jsonrpc: "2.0", ...message });
      const headers = { ...auth, ...(body && { "content-type": "application/json" }) };
      const req = http.request(new URL(path, url), { method, headers, agent: false }, resolve);
      req.on("error", reject).end(body);
    });
  const errors = new Map();
  let text = "";
  const stream = await ask("GET", `/u/u/${server}/sse`);
  stream.setEncoding("utf8").on("data", (more) => {
    text += more;
    for (const [, id] of more.matchAll(/"id":(\d+),"error"/g))
      errors.set(Number(id), performance.now());
  });
  const endpoint = await until(() => /^data: (.*)$/m.exec(text)?.[1]);
  return {
    post: async (message) => (await ask("POST", endpoint, message)).resume(),
    errorFor: (id) => until(() => errors.get(id)),
    hello: () => until(() => text.includes('"result"')),
    close: () => stream.destroy(),
  };
}

const folder = makeFolder({
  leaves: { command: process.execPath, args: ["-e", LEAVES] },
  nowhere: { url: "http://127.0.0.1:1/mcp" },
});
const daemon = await startDaemon(folder);
try {
  const { key } = await daemon.api("POST", "/api/users", { user: "u" });
  const [gone, told, refused] = [[], [], []];
  const session = await open(folder.url, key.secret, "leaves");
  await session.post(initialize);
  await session.hello();
  for (let id = 1; id <= ROUNDS; id++) {
    await session.post({ id, method: "tools/call", params: { name: "leave", arguments: {} } });
    const [, left, leader] = await until(async () => {
      const { logs } = await daemon.api("GET", "/api/users/u/logs");
      return [...JSON.stringify(logs).matchAll(/left (\d+) of (\d+)/g)][id - 1];
    });
    process.kill(Number(leader), "SIGKILL");
    const killed = performance.now();
    told.push((await session.errorFor(id)) - killed);
    await until(() => !isAlive(left));
    gone.push(performance.now() - killed);
  }
  session.close();
  const vain = await open(folder.url, key.secret, "nowhere");
  for (let id = 1; id <= ROUNDS; id++) {
    const posted = performance.now();
    await vain.post({ ...initialize, id });
    refused.push((await vain.errorFor(id)) - posted);
  }
  vain.close();
  const most = (what, took, limitMs) => {
    const longest = Math.max(...took);
    tell(
      `${what}, the longest of ${ROUNDS}`,
      `${Math.round(longest)} ms`,
      `≤ ${limitMs} ms`,
      longest <= limitMs,
    );
  };
  most("a process in a session of its own, after its child was killed", gone, 2000);
  most("a call over SSE, after its child was killed: until its client is told", told, 100);
  most(
    "a message over SSE to a server that cannot be reached: until its client is told",
    refused,
    100,
  );
} finally {
  await daemon.stop();
  removeFolder(folder);
}
console.log(table());
