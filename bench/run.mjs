// The figures that this project holds, as ratios of runs in turn on one machine.
//   npm run bench                 all rows
//   npm run bench -- --quick      fewer rounds, for a look
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder, removeFolder, rssMiB, startDaemon } from "./daemon.mjs";

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const isQuick = process.argv.includes("--quick");
const ROUNDS = isQuick ? 2 : 5;
const CALLS = isQuick ? 5_000 : 20_000;
const WARM_CALLS = isQuick ? 20_000 : 60_000;
const USERS = isQuick ? 1_000 : 10_000;
const SESSIONS = 2_000;

const echo = (type) => ({
  type,
  command: "node",
  args: [here("./echo-http.mjs"), "--port", "${port}", "--endpoint", "absolute"],
});

function load(options) {
  const args = [here("./mcpload.mjs")];
  for (const [key, value] of Object.entries(options)) {
    for (const one of Array.isArray(value) ? value : [value]) args.push(`--${key}`, String(one));
  }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (chunk) => (text += chunk));
    child.once("exit", () => {
      try {
        resolve(JSON.parse(text));
      } catch {
        reject(new Error(`the load tool printed: ${text.slice(0, 200)}`));
      }
    });
  });
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const verdict = (isMet) => (isMet === undefined ? "" : isMet ? "held" : "**missed**");
const rows = [];
const row = (what, figure, target, isMet) => {
  rows.push({ what, figure, target, isMet });
  console.error(`${verdict(isMet)} ${what}: ${figure} (${target})`);
};
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
  { name: "SSE bridge over stdio", transport: "sse", server: "by-stdio", ratio: 0.6 },
  { name: "Streamable HTTP bridge over stdio", transport: "http", server: "by-stdio", ratio: 0.6 },
];

/** Each way through the gateway, in turn with the echo server itself over the same transport. */
async function links() {
  const stdio = { command: "node", args: [here("./echo-stdio.mjs")] };
  const folder = makeFolder({ "by-sse": echo("sse"), "by-http": echo("http"), "by-stdio": stdio });
  const daemon = await startDaemon(folder);
  try {
    const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
    const header = `authorization: Bearer ${key.secret}`;
    for (const { name, transport, server, ratio, addedMs, cpuMs } of LINKS) {
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
      for (let round = 0; round < ROUNDS; round++) {
        const one = { transport, header, calls: 3_000, warmup: 500 };
        const a = counted(await load({ ...many, url: direct }));
        const b = counted(await load({ ...many, url: through, proc: `gateway=${daemon.pid}` }));
        const c = counted(await load({ ...one, url: direct }));
        const d = counted(await load({ ...one, url: through }));
        ratios.push(b.callsPerSec / a.callsPerSec);
        cpu.push(b.procs.gateway.cpuMsPer10k);
        added.push(d.latencyMs.p50 - c.latencyMs.p50);
      }
      row(
        `${name}, 32 in flight over 16 sessions: calls/s of direct`,
        median(ratios).toFixed(2),
        `≥ ${ratio.toFixed(2)}`,
        median(ratios) >= ratio,
      );
      row(
        `${name}: gateway CPU per 10,000 calls`,
        `${Math.round(median(cpu))} ms`,
        ...held(median(cpu), cpuMs, "ms"),
      );
      row(
        `${name}, 1 in flight: added p50`,
        `${median(added).toFixed(3)} ms`,
        ...held(median(added), addedMs, "ms"),
      );
    }
  } finally {
    await daemon.stop();
    removeFolder(folder);
  }
}

/** The figure to hold as text, and whether it is; rows without one are for comparison. */
function held(measured, limit, unit) {
  return limit === undefined ? ["–", undefined] : [`≤ ${limit} ${unit}`, measured <= limit];
}

async function idleSessions() {
  for (const [name, isAsleep, target] of [
    ["live relay", false, 28],
    ["child asleep", true, 20],
  ]) {
    const folder = makeFolder({ "by-sse": echo("sse") });
    const daemon = await startDaemon(folder);
    try {
      const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
      const header = `authorization: Bearer ${key.secret}`;
      const url = `${folder.url}/u/alice/sse`;
      // Warm code first, so that what is measured is sessions and not the first use of anything.
      counted(
        await load({ url, transport: "sse", header, sessions: 50, inflight: 8, calls: 3_000 }),
      );
      const result = counted(
        await load({
          mode: "idle",
          url,
          transport: "sse",
          header,
          sessions: SESSIONS,
          hold: 3,
          proc: `gateway=${daemon.pid}`,
          ...(isAsleep ? { "no-init": true } : {}),
        }),
      );
      const kib = result.procs.gateway.kibPerSession;
      row(
        `${SESSIONS} idle SSE sessions, ${name}: memory each`,
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
    row(`at rest, ${count} users: memory`, `${rss.toFixed(0)} MiB`, "≤ 100 MiB", rss <= 100);
    row(`at rest, ${count} users: children`, String(instances.length), "0", instances.length === 0);
    row(
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
row("answers lost or delivered to another session", String(errors), "0", errors === 0);

const model =
  /model name\s*: (.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown processor";
console.log(
  `\n${cpus().length} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().split(".", 2).join(".")}, Node ${process.versions.node}; loader, gateway and child share the cores; medians of ${ROUNDS} rounds.\n`,
);
console.log("| what | measured | figure to hold | |\n|---|---|---|---|");
for (const { what, figure, target, isMet } of rows)
  console.log(`| ${what} | ${figure} | ${target} | ${verdict(isMet)} |`);
process.exit(errors === 0 ? 0 : 1);
