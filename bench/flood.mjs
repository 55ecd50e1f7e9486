// What ten children that flood their output cost a neighbour: the p99 of its calls, beside ten silent
// children that burn as much CPU, what a `stop` takes, and the longest that the event loop is held.
//   node bench/flood.mjs [seconds] [KIND…]     KIND: one or more of those below
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { clients, initialize } from "./clients.mjs";
import { makeFolder, removeFolder, rssMiB, startDaemon } from "./daemon.mjs";
import { atShare, sum, table, tell } from "./report.mjs";

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const CHILDREN = 10;
const CALLS_PER_S = 50;
/** A child that begins to flood is read at full speed at first. */
const WARM_UP_SECONDS = { stdio: 5, sse: 15, http: 15 };
const TICKS_PER_S = 100;

/** A stdio server that answers `initialize`, and from then on does what `rest` says. */
const program = (rest) => `
  let text = "";
  process.stdin.setEncoding("utf8").on("data", (more) => {
    text += more;
    for (let end; (end = text.indexOf("\\n")) >= 0; text = text.slice(end + 1)) {
      const { id, method, params } = JSON.parse(text.slice(0, end));
      if (method !== "initialize") continue;
      const result = { protocolVersion: params.protocolVersion, capabilities: {}, serverInfo: { name: "n", version: "1" } };
      process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, result }) + "\\n");
      setTimeout(() => { ${rest} }, 200);
    }
  }).on("end", () => process.exit(0));`;

const writing = (stream, line) =>
  program(`
    const line = ${JSON.stringify(line)};
    const chunk = Buffer.from(line.repeat(Math.max(1, Math.floor(65536 / line.length))));
    const more = () => process.${stream}.write(chunk, () => setImmediate(more));
    more();`);

/** One line after the other of so many pieces of 64 KiB. */
const long = (pieces) =>
  program(`
    const chunk = Buffer.alloc(65536, "x");
    const write = (data) => new Promise((done) => process.stdout.write(data, () => setImmediate(done)));
    (async () => { for (;;) {
      await write('{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"');
      for (let i = 0; i < ${pieces}; i++) await write(chunk);
      await write('"}}\\n');
    } })();`);

/** An SSE or HTTP server that opens a session, and on its stream does what `rest` says. */
const listening = (rest) => `
  const http = require("node:http");
  const EVENTS = { "content-type": "text/event-stream" };
  const streams = new Map();
  const begin = (stream) => setTimeout(() => { ${rest} }, 200);
  http.createServer((req, res) => {
    const { method, url, headers } = req;
    if (method === "GET") {
      if (url === "/mcp" && headers["mcp-session-id"] === undefined) return res.writeHead(405).end();
      const id = String(streams.size);
      streams.set(id, res.writeHead(200, EVENTS));
      if (url === "/mcp") return res.write(":\\n\\n"), begin(res);
      return res.write("event: endpoint\\ndata: /messages/" + id + "\\n\\n");
    }
    let text = "";
    req.setEncoding("utf8").on("data", (more) => (text += more)).on("end", () => {
      const { id, method, params } = JSON.parse(text);
      if (method !== "initialize") return res.writeHead(202).end();
      const result = { protocolVersion: params.protocolVersion, capabilities: {}, serverInfo: { name: "n", version: "1" } };
      const answer = JSON.stringify({ jsonrpc: "2.0", id, result });
      if (url === "/mcp") return res.writeHead(200, { "content-type": "application/json", "mcp-session-id": "s" }).end(answer);
      const stream = streams.get(url.slice(10));
      res.writeHead(202).end();
      stream.write("data: " + answer + "\\n\\n");
      begin(stream);
    });
  }).listen(Number(process.argv[1]), "127.0.0.1");`;

/** `event` is an expression. */
const streaming = (event) =>
  listening(`
    const event = ${event};
    const chunk = Buffer.from(event.repeat(Math.max(1, Math.floor(65536 / event.length))));
    const more = () => stream.write(chunk, () => setImmediate(more));
    more();`);

const eventOf = (params) =>
  `'data: {"jsonrpc":"2.0","method":"x","params":"' + ${params} + '"}\\n\\n'`;
const SHORT = eventOf('""');
const LONG = eventOf('"x".repeat(1048576)');
const COMMENT = '":\\n\\n"';

const stdio = (flood) => ({ transport: "stdio", flood, silent: program });
const over = (transport, front, flood) => ({ transport, front, flood, silent: listening });

const KINDS = {
  "lines that are not JSON": stdio(writing("stdout", "not json\n")),
  "JSON that is no message": stdio(writing("stdout", "1\n")),
  "empty messages": stdio(writing("stdout", "{}\n")),
  "questions of the child": stdio(
    writing("stdout", '{"jsonrpc":"2.0","id":"q","method":"ping"}\n'),
  ),
  "short lines to stderr": stdio(writing("stderr", "x\n")),
  "lines of 60 MiB": stdio(long(960)),
  "100 MB without a line break": stdio(long(1600)),
  "events over SSE": over("sse", "sse", streaming(SHORT)),
  "comments over SSE": over("sse", "sse", streaming(COMMENT)),
  "events of 1 MiB over SSE": over("sse", "sse", streaming(LONG)),
  "events over SSE, bridged": over("sse", "mcp", streaming(SHORT)),
  "events over HTTP": over("http", "mcp", streaming(SHORT)),
  "events over HTTP, bridged": over("http", "sse", streaming(SHORT)),
};

const burning = (share) => `
    setInterval(() => {
      const end = process.cpuUsage();
      const least = ${share} * 20_000;
      for (;;) { const { user, system } = process.cpuUsage(end); if (user + system >= least) return; }
    }, 20);`;

const cpuTicks = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
  return Number(fields[11]) + Number(fields[12]);
};

const serverOf = (transport, source) => ({
  type: transport,
  command: process.execPath,
  args: ["-e", source, "--", ...(transport === "stdio" ? [] : ["${port}"])],
});

/** Opens a session for each of the users, and reads all that it is told. */
async function readersOf(front, users) {
  const readers = fork(here("flood-clients.mjs"));
  readers.send({ front, users });
  await once(readers, "message");
  return readers;
}

/** A daemon with so many children of this program, each another user's, and a neighbour's calls beside them. */
async function beside({ transport, front }, source, seconds) {
  const well = { command: process.execPath, args: [here("echo-stdio.mjs")] };
  const folder = makeFolder({ well, other: serverOf(transport, source) });
  let onProbed;
  const daemon = await startDaemon(folder, {
    preload: here("loop-probe.mjs"),
    onMessage: (seen) => onProbed(seen),
  });
  const probe = () =>
    new Promise((resolve) => {
      onProbed = resolve;
      daemon.send("look");
    });
  const { post, close } = clients(folder.url, 60_000);
  let readers;
  try {
    const add = async (user, which) => {
      const { key } = await daemon.api("POST", "/api/users", { user });
      return { user, server: which, secret: key.secret };
    };
    const open = async (user) => ({ ...user, session: (await post(user, initialize)).session });
    const good = await open(await add("good", "well"));
    const call = async (id) => {
      const begun = performance.now();
      const params = { name: "echo", arguments: { message: "x" } };
      const { status } = await post(good, { id, method: "tools/call", params });
      if (status !== 200) throw new Error(`a call was answered with ${status}`);
      return performance.now() - begun;
    };
    for (let id = 1; id < 2000; id++) await call(`warm ${id}`);
    const noisy = [];
    for (let i = 0; i < CHILDREN; i++) noisy.push(await add(`noisy${i}`, "other"));
    if (front === undefined) for (const user of noisy) await open(user);
    else {
      const users = noisy.map(({ user, secret }) => ({
        url: folder.url,
        path: `/u/${user}/other`,
        secret,
      }));
      readers = await readersOf(front, users);
    }
    await probe();
    await sleep(WARM_UP_SECONDS[transport] * 1000);
    const early = await probe();
    const { instances } = await daemon.api("GET", "/api/status");
    const pids = instances.filter(({ server: name }) => name === "other").map(({ pid }) => pid);
    // What reads is of the flood too.
    if (readers !== undefined) pids.push(readers.pid);
    const [before, since] = [sum(pids.map(cpuTicks)), performance.now()];
    const took = [];
    for (let id = 1; performance.now() - since < seconds * 1000; id++) {
      took.push(await call(id));
      await sleep((1000 / CALLS_PER_S) * 2 * Math.random());
    }
    const spent = (sum(pids.map(cpuTicks)) - before) / TICKS_PER_S;
    const cores = spent / ((performance.now() - since) / 1000) / CHILDREN;
    const rss = rssMiB(daemon.pid);
    const { longestMs } = await probe();
    const begun = performance.now();
    await daemon.api("POST", "/api/users/noisy0/stop", {});
    return {
      p99: atShare(took, 0.99),
      p50: atShare(took, 0.5),
      cores,
      rss,
      heldMs: Math.max(longestMs, early.longestMs),
      stopMs: performance.now() - begun,
    };
  } finally {
    close();
    readers?.kill();
    await daemon.stop();
    removeFolder(folder);
  }
}

/** The rows of all kinds, or of these. */
async function floodRows(seconds, kinds) {
  for (const name of kinds) {
    const kind = KINDS[name];
    const flooded = await beside(kind, kind.flood, seconds);
    const silent = await beside(kind, kind.silent(burning(flooded.cores)), seconds);
    const ratio = flooded.p99 / silent.p99;
    tell(
      `beside ${CHILDREN} children that write ${name}: p99 of calls, of that beside ${CHILDREN} silent ones that burn as much`,
      `${ratio.toFixed(2)} (${silent.p99.toFixed(1)} → ${flooded.p99.toFixed(1)} ms)`,
      "≤ 1.5",
      ratio <= 1.5,
    );
    const late = flooded.stopMs - silent.stopMs;
    tell("the same: what a stop takes longer", `${Math.round(late)} ms`, "≤ 1000 ms", late <= 1000);
    tell(
      "the same: the longest that the event loop is held",
      `${flooded.heldMs.toFixed(1)} ms (${silent.heldMs.toFixed(1)} beside silent ones)`,
      "≤ 20 ms",
      flooded.heldMs <= 20,
    );
    tell(
      "the same: memory of the daemon",
      `${Math.round(flooded.rss)} MiB`,
      "≤ 250 MiB",
      flooded.rss <= 250,
    );
    console.error(
      `p50 ${silent.p50.toFixed(1)} → ${flooded.p50.toFixed(1)} ms, ${flooded.cores.toFixed(2)} and ${silent.cores.toFixed(2)} cores a child`,
    );
  }
}

const [seconds = "20", ...kinds] = process.argv.slice(2);
await floodRows(Number(seconds), kinds.length > 0 ? kinds : Object.keys(KINDS));
console.log(table());
