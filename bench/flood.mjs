// What ten children that flood their output cost a neighbour: the p99 of its calls, beside ten silent
// children that burn as much CPU, and what a `stop` takes.
//   node bench/flood.mjs [seconds] [KIND…]     KIND: one or more of those below
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { clients, initialize } from "./clients.mjs";
import { makeFolder, removeFolder, rssMiB, startDaemon } from "./daemon.mjs";
import { atShare, sum, table, tell } from "./report.mjs";

const echo = fileURLToPath(new URL("echo-stdio.mjs", import.meta.url));
const CHILDREN = 10;
const CALLS_PER_S = 50;
const WARM_UP_SECONDS = 5;
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

const KINDS = {
  "lines that are not JSON": writing("stdout", "not json\n"),
  "JSON that is no message": writing("stdout", "1\n"),
  "empty messages": writing("stdout", "{}\n"),
  "questions of the child": writing("stdout", '{"jsonrpc":"2.0","id":"q","method":"ping"}\n'),
  "short lines to stderr": writing("stderr", "x\n"),
  "lines of 60 MiB": long(960),
  "100 MB without a line break": long(1600),
};

const burning = (share) =>
  program(`
    setInterval(() => {
      const end = process.cpuUsage();
      const least = ${share} * 20_000;
      for (;;) { const { user, system } = process.cpuUsage(end); if (user + system >= least) return; }
    }, 20);`);

const cpuTicks = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
  return Number(fields[11]) + Number(fields[12]);
};

/** A daemon with so many children of this program, each another user's, and a neighbour's calls beside them. */
async function beside(source, seconds) {
  const server = { command: process.execPath, args: ["-e", source] };
  const folder = makeFolder({ well: { command: process.execPath, args: [echo] }, other: server });
  const daemon = await startDaemon(folder);
  const { post, close } = clients(folder.url, 60_000);
  try {
    const add = async (user, which) => {
      const { key } = await daemon.api("POST", "/api/users", { user });
      const added = { user, server: which, secret: key.secret };
      added.session = (await post(added, initialize)).session;
      return added;
    };
    const good = await add("good", "well");
    const call = async (id) => {
      const begun = performance.now();
      const params = { name: "echo", arguments: { message: "x" } };
      const { status } = await post(good, { id, method: "tools/call", params });
      if (status !== 200) throw new Error(`a call was answered with ${status}`);
      return performance.now() - begun;
    };
    for (let id = 1; id < 2000; id++) await call(`warm ${id}`);
    for (let i = 0; i < CHILDREN; i++) await add(`noisy${i}`, "other");
    await sleep(WARM_UP_SECONDS * 1000);
    const { instances } = await daemon.api("GET", "/api/status");
    const pids = instances.filter(({ server: name }) => name === "other").map(({ pid }) => pid);
    const [before, since] = [sum(pids.map(cpuTicks)), performance.now()];
    const took = [];
    for (let id = 1; performance.now() - since < seconds * 1000; id++) {
      took.push(await call(id));
      await sleep((1000 / CALLS_PER_S) * 2 * Math.random());
    }
    const spent = (sum(pids.map(cpuTicks)) - before) / TICKS_PER_S;
    const cores = spent / ((performance.now() - since) / 1000) / CHILDREN;
    const rss = rssMiB(daemon.pid);
    const begun = performance.now();
    await daemon.api("POST", "/api/users/noisy0/stop", {});
    return {
      p99: atShare(took, 0.99),
      p50: atShare(took, 0.5),
      cores,
      rss,
      stopMs: performance.now() - begun,
    };
  } finally {
    close();
    await daemon.stop();
    removeFolder(folder);
  }
}

/** The rows of all kinds, or of these. */
async function floodRows(seconds, kinds) {
  for (const kind of kinds) {
    const flooded = await beside(KINDS[kind], seconds);
    const silent = await beside(burning(flooded.cores), seconds);
    const ratio = flooded.p99 / silent.p99;
    tell(
      `beside ${CHILDREN} children that write ${kind}: p99 of calls, of that beside ${CHILDREN} silent ones that burn as much`,
      `${ratio.toFixed(2)} (${silent.p99.toFixed(1)} → ${flooded.p99.toFixed(1)} ms)`,
      "≤ 1.5",
      ratio <= 1.5,
    );
    const late = flooded.stopMs - silent.stopMs;
    tell("the same: what a stop takes longer", `${Math.round(late)} ms`, "≤ 1000 ms", late <= 1000);
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
