// A user's first `initialize`, for which their child is started, beside a bare start of the same child.
//   node bench/cold.mjs [TIMES]     these rows alone
import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import getPort from "get-port";
import { clients, initialize } from "./clients.mjs";
import { echoServer, makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { takesConnections } from "./peers.mjs";
import { median, table, tell } from "./report.mjs";

const MOST_TIMES = 1.2;
const TIMEOUT_MS = 30_000;
const here = (file) => fileURLToPath(new URL(file, import.meta.url));

async function ended(child) {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

const textOf = (message) => JSON.stringify({ jsonrpc: "2.0", ...message });

/** From the start of a child until it has answered the last of these messages, in ms. */
async function bareStdio(messages) {
  const begun = performance.now();
  const child = spawn("node", [here("./echo-stdio.mjs")], { stdio: ["pipe", "pipe", "ignore"] });
  const lines = createInterface({ input: child.stdout });
  for (const message of messages) {
    child.stdin.write(`${textOf(message)}\n`);
    if (message.id !== undefined) await once(lines, "line");
  }
  const took = performance.now() - begun;
  await ended(child);
  return took;
}

/** Resolves with the session that the answer names. */
const answered = (port, message, session) =>
  new Promise((resolve, reject) => {
    const body = textOf(message);
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "content-length": Buffer.byteLength(body),
      ...(session === undefined ? {} : { "mcp-session-id": session }),
    };
    const options = { host: "127.0.0.1", port, path: "/mcp", method: "POST", headers };
    http
      .request({ ...options, agent: false }, (res) =>
        res.resume().on("end", () => resolve(res.headers["mcp-session-id"] ?? session)),
      )
      .on("error", reject)
      .end(body);
  });

/** As `bareStdio`. It is asked as soon as its port is open, which is looked for as often as one can. */
async function bareHttp(messages) {
  const port = await getPort();
  const begun = performance.now();
  const child = spawn("node", [here("./echo-http.mjs"), "--port", String(port)], {
    stdio: "ignore",
  });
  while (!(await takesConnections(port))) await sleep(1);
  let session;
  for (const message of messages) session = await answered(port, message, session);
  const took = performance.now() - begun;
  await ended(child);
  return took;
}

export const CHILDREN = [
  { name: "stdio", server: "by-stdio", bare: bareStdio },
  { name: "HTTP", server: "by-http", bare: bareHttp },
];

export async function coldRows(times) {
  const folder = makeFolder({ "by-stdio": echoServer("stdio"), "by-http": echoServer("http") });
  const daemon = await startDaemon(folder);
  const { post, close } = clients(folder.url, TIMEOUT_MS);
  let next = 0;
  /** A user who never had a child: nothing is known of it that could be answered without one. */
  const ours = async (server) => {
    const user = `user${next++}`;
    const { key } = await daemon.api("POST", "/api/users", { user });
    const begun = performance.now();
    const { status, body } = await post(
      { user, server, secret: key.secret },
      { id: 0, ...initialize },
    );
    const took = performance.now() - begun;
    if (status !== 200) throw new Error(`${status} ${body}`);
    await daemon.api("POST", `/api/users/${user}/stop`, {});
    return took;
  };
  try {
    for (const { name, server, bare } of CHILDREN) {
      await ours(server);
      const [bares, all] = [[], []];
      for (let round = 0; round < times; round++) {
        bares.push(await bare([{ id: 0, ...initialize }]));
        all.push(await ours(server));
      }
      const ratio = median(all.map((ms, i) => ms / bares[i]));
      const shown = [bares, all].map((of) => `${Math.round(median(of))} ms`).join(" → ");
      tell(
        `a child over ${name} that is started for a call: \`initialize\` ÷ that of a bare start`,
        `${ratio.toFixed(2)}× (${shown})`,
        `≤ ${MOST_TIMES}×`,
        ratio <= MOST_TIMES,
      );
    }
  } finally {
    close();
    await daemon.stop();
    removeFolder(folder);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [times = 10] = process.argv.slice(2).map(Number);
  await coldRows(times);
  console.log(table());
}
