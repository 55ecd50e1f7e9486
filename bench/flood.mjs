// What ten children that flood their output cost a neighbour: the p99 of its calls, of that beside ten
// silent children that burn as much CPU, what a `stop` takes, and the longest that the event loop is held.
// Two daemons, one with each, are measured in turns, while the children of the other stand still; what is
// told is of the calls of all turns together (one turn has few enough that a single one makes its p99),
// with the quarters of the turns' own beside it.
//   node bench/flood.mjs [--rounds 5] [--seconds 10] [KIND…]     KIND: one or more of those below
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { clients, initialize } from "./clients.mjs";
import { makeFolder, removeFolder, rssMiB, startDaemon } from "./daemon.mjs";
import { atShare, median, shuffled, sum, table, tell } from "./report.mjs";

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const CHILDREN = 10;
const CALLS_PER_S = 50;
/** A child that begins to flood is read at full speed at first. */
const WARM_UP_SECONDS = { stdio: 5, sse: 15, http: 15 };
/** Children that go on are on their way again. */
const SETTLE_MS = 2000;
const FIRST_PORT = 18_040;
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

/** A daemon with so many children of this program, each another user's, and a neighbour who calls beside them. */
class Beside {
  #daemon;
  #folder;
  #clients;
  #good;
  #readers;
  #pids = [];
  #onProbed = () => {};
  heldMs = 0;

  static async open({ transport, front }, source, port) {
    const side = new Beside();
    const well = { command: process.execPath, args: [here("echo-stdio.mjs")] };
    side.#folder = makeFolder({ well, other: serverOf(transport, source) }, { port });
    side.#daemon = await startDaemon(side.#folder, {
      preload: here("loop-probe.mjs"),
      onMessage: (seen) => side.#onProbed(seen),
    });
    side.#clients = clients(side.#folder.url, 60_000);
    try {
      await side.#begin(front);
      await sleep(WARM_UP_SECONDS[transport] * 1000);
      await side.#look();
    } catch (error) {
      await side.close();
      throw error;
    }
    return side;
  }

  async #begin(front) {
    const { api } = this.#daemon;
    const { post } = this.#clients;
    const add = async (user, server) => {
      const { key } = await api("POST", "/api/users", { user });
      return { user, server, secret: key.secret };
    };
    const open = async (user) => ({ ...user, session: (await post(user, initialize)).session });
    this.#good = await open(await add("good", "well"));
    for (let id = 1; id < 2000; id++) await this.#call(`warm ${id}`);
    const noisy = [];
    for (let i = 0; i < CHILDREN; i++) noisy.push(await add(`noisy${i}`, "other"));
    if (front === undefined) for (const user of noisy) await open(user);
    else {
      const users = noisy.map(({ user, secret }) => ({
        url: this.#folder.url,
        path: `/u/${user}/other`,
        secret,
      }));
      this.#readers = await readersOf(front, users);
    }
    await this.#probe();
    const { instances } = await api("GET", "/api/status");
    this.#pids = instances.filter(({ server }) => server === "other").map(({ pid }) => pid);
    // What reads is of the flood too.
    if (this.#readers !== undefined) this.#pids.push(this.#readers.pid);
  }

  async #call(id) {
    const begun = performance.now();
    const params = { name: "echo", arguments: { message: "x" } };
    const { status } = await this.#clients.post(this.#good, { id, method: "tools/call", params });
    if (status !== 200) throw new Error(`a call was answered with ${status}`);
    return performance.now() - begun;
  }

  #probe() {
    return new Promise((resolve) => {
      this.#onProbed = resolve;
      this.#daemon.send("look");
    });
  }

  async #look() {
    const { longestMs } = await this.#probe();
    this.heldMs = Math.max(this.heldMs, longestMs);
  }

  #signal(signal) {
    for (const pid of this.#pids)
      try {
        process.kill(pid, signal);
      } catch {
        // The one that was stopped is gone.
      }
  }

  /** Whoever is not measured leaves the machine to who is. */
  pause() {
    this.#signal("SIGSTOP");
  }

  async goOn() {
    this.#signal("SIGCONT");
    await sleep(SETTLE_MS);
  }

  /** The neighbour's calls for so long, and what a child burns meanwhile, in cores. */
  async measure(seconds) {
    const [before, since] = [sum(this.#pids.map(cpuTicks)), performance.now()];
    const took = [];
    for (let id = 1; performance.now() - since < seconds * 1000; id++) {
      took.push(await this.#call(id));
      await sleep((1000 / CALLS_PER_S) * 2 * Math.random());
    }
    const spent = (sum(this.#pids.map(cpuTicks)) - before) / TICKS_PER_S;
    const cores = spent / ((performance.now() - since) / 1000) / CHILDREN;
    await this.#look();
    return { took, cores };
  }

  get rss() {
    return rssMiB(this.#daemon.pid);
  }

  /** What it takes to stop one of them. */
  async stopMs() {
    const begun = performance.now();
    await this.#daemon.api("POST", "/api/users/noisy0/stop", {});
    return performance.now() - begun;
  }

  async close() {
    this.#signal("SIGCONT");
    this.#clients.close();
    this.#readers?.kill();
    await this.#daemon.stop();
    removeFolder(this.#folder);
  }
}

/** Both beside each other: what each turn found, and what was found at the end. */
async function inTurns(kind, { rounds, seconds }) {
  const sides = [await Beside.open(kind, kind.flood, FIRST_PORT)];
  try {
    const { cores } = await sides[0].measure(seconds);
    sides[0].pause();
    sides.push(await Beside.open(kind, kind.silent(burning(cores)), FIRST_PORT + 1));
    sides[1].pause();
    const turns = [[], []];
    for (let round = 0; round < rounds; round++)
      for (const i of shuffled([0, 1])) {
        await sides[i].goOn();
        turns[i].push(await sides[i].measure(seconds));
        sides[i].pause();
      }
    const ends = [];
    for (const side of sides) {
      await side.goOn();
      const { rss, heldMs } = side;
      ends.push({ rss, heldMs, stopMs: await side.stopMs() });
      side.pause();
    }
    return { turns, ends };
  } finally {
    for (const side of sides) await side.close();
  }
}

async function tellOf(name, options) {
  const { turns, ends } = await inTurns(KINDS[name], options);
  const [flooded, silent] = ends;
  const of = (share) =>
    turns.map((side) =>
      atShare(
        side.flatMap(({ took }) => took),
        share,
      ),
    );
  const [with_, without] = of(0.99);
  const ratio = with_ / without;
  const ratios = turns[0].map(
    ({ took }, i) => atShare(took, 0.99) / atShare(turns[1][i].took, 0.99),
  );
  const [low, high] = [0.25, 0.75].map((share) => atShare(ratios, share).toFixed(2));
  tell(
    `beside ${CHILDREN} children that write ${name}: p99 of calls, of that beside ${CHILDREN} silent ones that burn as much`,
    `${ratio.toFixed(2)} (turns ${low}–${high}; ${without.toFixed(1)} → ${with_.toFixed(1)} ms)`,
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
  const [noisy, calm] = turns.map((side) => median(side.map(({ cores }) => cores)).toFixed(3));
  const [late50, early50] = of(0.5).map((ms) => ms.toFixed(1));
  console.error(`p50 ${early50} → ${late50} ms, ${noisy} and ${calm} cores a child`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "10" },
  },
});
const unknown = positionals.filter((name) => !Object.hasOwn(KINDS, name));
if (unknown.length > 0) {
  console.error(`there is no ${unknown.join(", ")}; there are: ${Object.keys(KINDS).join(", ")}`);
  process.exit(2);
}
const options = { rounds: Number(values.rounds), seconds: Number(values.seconds) };
for (const name of positionals.length > 0 ? positionals : Object.keys(KINDS))
  await tellOf(name, options);
console.log(table());
