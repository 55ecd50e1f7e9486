// The figures that this project holds, as ratios of runs in turn on one machine.
//   npm run bench                 all rows
//   npm run bench -- --quick      fewer rounds, for a look
//   npm run bench -- --markdown   all rows, and the table of docs/performance.md renewed with them
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder, removeFolder, rssMiB, startDaemon } from "./daemon.mjs";
import { levelRows } from "./levels.mjs";
import { load } from "./load.mjs";
import { fetchPeers, startPeer } from "./peers.mjs";
import { atMost, median, renewFigures, sum, table, tell, tellThoseOf } from "./report.mjs";
import { slowClients } from "./slow.mjs";
import { asleepRow } from "./asleep.mjs";
import { spawnRow } from "./spawn.mjs";
import { stormRows } from "./storm.mjs";
import { toolRows } from "./tools.mjs";

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const isQuick = process.argv.includes("--quick");
const ROUNDS = isQuick ? 2 : 5;
const CALLS = isQuick ? 5_000 : 20_000;
const WARM_CALLS = isQuick ? 20_000 : 60_000;
const USERS = isQuick ? 1_000 : 10_000;
const SESSIONS = 2_000;
const FIRST_PEER_PORT = 18_050;
const PEER_CALLS = isQuick ? 2_000 : 10_000;
/** Of the bridges that others have made, the one that answers right (the other is shown beside it). */
const TO_BEAT = "mcp-proxy";
const TIMES = 2.5;

const echo = (type) => ({
  type,
  command: "node",
  args: [here("./echo-http.mjs"), "--port", "${port}", "--endpoint", "absolute"],
});

const stops = [];
let errors = 0;
const counted = (result) => {
  errors += result.errors + result.strays;
  return result;
};

const LINKS = [
  { name: "SSE relay", transport: "sse", server: "by-sse", ratio: 0.5, addedMs: 0.12, cpuMs: 500 },
  {
    name: "Streamable HTTP relay",
    transport: "http",
    server: "by-http",
    ratio: 0.5,
    addedMs: 0.12,
  },
  {
    name: "SSE bridge over stdio",
    transport: "sse",
    server: "by-stdio",
    ratio: 0.6,
    hasPeers: true,
  },
  {
    name: "Streamable HTTP bridge over stdio",
    transport: "http",
    server: "by-stdio",
    ratio: 0.6,
    hasPeers: true,
  },
];

/** Each way through the gateway, in turn with the echo server itself over the same transport. */
async function links() {
  const peers = fetchPeers();
  const stdio = { command: "node", args: [here("./echo-stdio.mjs")] };
  const folder = makeFolder({ "by-sse": echo("sse"), "by-http": echo("http"), "by-stdio": stdio });
  const daemon = await startDaemon(folder);
  try {
    const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
    const header = `authorization: Bearer ${key.secret}`;
    for (const { name, transport, server, ratio, addedMs, cpuMs, hasPeers } of LINKS) {
      const leaf = transport === "sse" ? "sse" : "mcp";
      const through = `${folder.url}/u/alice/${server}/${leaf}`;
      const many = { transport, header, sessions: 16, inflight: 32, calls: CALLS, warmup: 2_000 };
      // Until the hot path is compiled: a daemon that serves has served this much long ago.
      counted(await load({ ...many, url: through, calls: WARM_CALLS }));
      counted(
        await load({ transport, header, url: `${folder.url}/u/alice/by-${transport}/${leaf}` }),
      );
      const { instances } = await daemon.api("GET", "/api/status");
      const { port } = instances.find((one) => one.server === `by-${transport}`);
      const direct = `http://127.0.0.1:${port}/${leaf}`;
      const [ratios, added, cpu] = [[], [], []];
      const others = [];
      if (hasPeers)
        for (const [i, peer] of peers.entries())
          others.push(await startOther(peer, FIRST_PEER_PORT + i, transport, many));
      for (let round = 0; round < ROUNDS; round++) {
        const one = { transport, header, calls: 3_000, warmup: 500 };
        const a = counted(await load({ ...many, url: direct }));
        const b = counted(await load({ ...many, url: through, proc: `gateway=${daemon.pid}` }));
        const c = counted(await load({ ...one, url: direct }));
        const d = counted(await load({ ...one, url: through }));
        ratios.push(b.callsPerSec / a.callsPerSec);
        cpu.push(b.procs.gateway.cpuMsPer10k);
        added.push(d.latencyMs.p50 - c.latencyMs.p50);
        for (const other of others) await other.round(b.callsPerSec);
      }
      tell(
        `${name}, 32 in flight over 16 sessions: calls/s of direct`,
        median(ratios).toFixed(2),
        `≥ ${ratio.toFixed(2)}`,
        median(ratios) >= ratio,
      );
      tell(
        `${name}: gateway CPU per 10,000 calls`,
        `${Math.round(median(cpu))} ms`,
        ...atMost(median(cpu), cpuMs, "ms"),
      );
      tell(
        `${name}, 1 in flight: added p50`,
        `${median(added).toFixed(3)} ms`,
        ...atMost(median(added), addedMs, "ms"),
      );
      for (const other of others) await other.finish(name);
    }
  } finally {
    for (const stop of stops) await stop();
    await daemon.stop();
    removeFolder(folder);
  }
}

/** The bridge of somebody else over the same child, with a round of its own and the rows that come of it. */
async function startOther({ name, version }, port, transport, many) {
  const peer = await startPeer(name, transport, port);
  stops.push(peer.stop);
  // Warm from the first run on, so that every call is one that is counted.
  const run = () => load({ ...many, url: peer.url, calls: PEER_CALLS, warmup: 0 });
  await run();
  const [times, wrong] = [[], []];
  return {
    async round(ours) {
      const result = await run();
      times.push(ours / result.callsPerSec);
      wrong.push(result.errors);
    },
    async finish(link) {
      await peer.stop();
      const isRival = name === TO_BEAT;
      tell(
        `${link}: calls/s, times those of ${name} ${version}`,
        `${median(times).toFixed(1)}×`,
        isRival ? `≥ ${TIMES.toFixed(1)}×` : "–",
        isRival ? median(times) >= TIMES : undefined,
      );
      if (sum(wrong) === 0) return;
      const of = PEER_CALLS * wrong.length;
      tell(`${link}: wrong answers of ${name} ${version}`, `${sum(wrong)} of ${of}`, "–");
    },
  };
}

const IDLE = [
  { name: "SSE sessions, live relay", transport: "sse", server: "by-sse", target: 28 },
  { name: "SSE sessions, child asleep", transport: "sse", server: "by-sse", isAsleep: true },
  { name: "SSE sessions, bridge over stdio", transport: "sse", server: "by-stdio" },
  { name: "Streamable HTTP sessions, bridge over stdio", transport: "http", server: "by-stdio" },
];

async function idleSessions() {
  const stdio = { command: "node", args: [here("./echo-stdio.mjs")] };
  for (const { name, transport, server, isAsleep = false, target = 20 } of IDLE) {
    const folder = makeFolder({ "by-sse": echo("sse"), "by-stdio": stdio });
    const daemon = await startDaemon(folder);
    try {
      const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
      const header = `authorization: Bearer ${key.secret}`;
      const url = `${folder.url}/u/alice/${server}/${transport === "sse" ? "sse" : "mcp"}`;
      // Warm code first, so that what is measured is sessions and not the first use of anything.
      counted(await load({ url, transport, header, sessions: 50, inflight: 8, calls: 3_000 }));
      const result = counted(
        await load({
          mode: "idle",
          url,
          transport,
          header,
          sessions: SESSIONS,
          hold: 3,
          proc: `gateway=${daemon.pid}`,
          ...(isAsleep ? { "no-init": true } : {}),
        }),
      );
      const kib = result.procs.gateway.kibPerSession;
      tell(
        `${SESSIONS} idle ${name}: memory each`,
        `${kib.toFixed(1)} KiB`,
        `≤ ${target} KiB`,
        kib <= target,
      );
    } finally {
      await daemon.stop();
      removeFolder(folder);
    }
  }
}

async function atRest() {
  const folder = makeFolder({ "by-sse": echo("sse") });
  let daemon = await startDaemon(folder);
  try {
    let next = 0;
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        while (next < USERS) {
          const user = `user-${next++}`;
          await daemon.api("POST", "/api/users", { user, token: `token-of-${user}` });
        }
      }),
    );
    const starts = [];
    for (let round = 0; round < 5; round++) {
      await daemon.stop();
      daemon = await startDaemon(folder);
      starts.push(daemon.startMs);
    }
    await sleep(3_000);
    const rss = rssMiB(daemon.pid);
    const { instances } = await daemon.api("GET", "/api/status");
    const count = USERS.toLocaleString("en");
    tell(`at rest, ${count} users: memory`, `${rss.toFixed(0)} MiB`, "≤ 100 MiB", rss <= 100);
    tell(
      `at rest, ${count} users: children`,
      String(instances.length),
      "0",
      instances.length === 0,
    );
    tell(
      `${count} users: start until it answers`,
      `${Math.round(median(starts))} ms`,
      "≤ 500 ms",
      median(starts) <= 500,
    );
  } finally {
    await daemon.stop();
    removeFolder(folder);
  }
}

await links();
await idleSessions();
await atRest();
await slowClients(isQuick ? 1 : 3, 10);
for (const row of await toolRows(isQuick ? 2 : 5, CALLS / 2)) tell(...row);
await asleepRow(isQuick ? 20 : 100);
await stormRows(isQuick ? 60 : 300);
tellThoseOf("./crash-loop.mjs", isQuick ? 10 : 60, isQuick ? 20 : 100);
for (const row of await levelRows(isQuick ? 5 : 15)) tell(...row);
tell(...(await spawnRow(isQuick ? 100 : 300)));
tell("answers lost or delivered to another session", String(errors), "0", errors === 0);

const model =
  /model name\s*: (.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown processor";
const machine = `${cpus().length} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().split(".", 2).join(".")}, Node ${process.versions.node}; loader, gateway and child share the cores; medians of ${ROUNDS} rounds.`;
const text = `${machine}\n\n${table()}\n`;
console.log(`\n${text}`);
if (process.argv.includes("--markdown")) renewFigures(text);
process.exit(errors === 0 ? 0 : 1);
