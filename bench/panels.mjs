// What a call costs while 50 admin panels are open, beside what it costs while none is, in turns.
//   node bench/panels.mjs [ROUNDS] [CALLS]     these rows alone
import { readFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { echoServer, makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { load } from "./load.mjs";
import { median, shuffled, table, tell } from "./report.mjs";

const PANELS = 50;
const USERS = 300;
const ADMIN_PORT = 18_041;
/** As the page does: see its `poll.ts` and `plots.ts`. */
const POLL_MS = 5_000;
const HISTORY_MS = 60_000;
const MOST_TIMES = 1.03;
const TRANSPORTS = [
  { name: "Streamable HTTP", transport: "http", leaf: "mcp" },
  { name: "SSE", transport: "sse", leaf: "sse" },
];

/**
 * So many panels, each with a connection of its own, that ask as the page does until they are told to
 * stop; resolves once each of them has been drawn.
 */
async function open(count, token) {
  let asked = 0;
  let failed = 0;
  const ask = (agent, path) =>
    new Promise((resolve) => {
      const headers = { authorization: `Bearer ${token}` };
      const req = http.get({ host: "127.0.0.1", port: ADMIN_PORT, path, agent, headers }, (res) => {
        if (res.statusCode !== 200) failed += 1;
        asked += 1;
        res.resume().on("end", resolve);
      });
      req.on("error", () => {
        failed += 1;
        resolve();
      });
    });
  const ends = [];
  const openOne = async (at) => {
    // Nobody opens all of them at once.
    await sleep((at / count) * POLL_MS);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
    const now = () => ask(agent, "/api/overview");
    const history = () => ask(agent, `/api/history?since=${Date.now() - 3_600_000}&points=360`);
    const timers = [
      setInterval(() => void now(), POLL_MS),
      setInterval(() => void history(), HISTORY_MS),
    ];
    ends.push(() => {
      timers.forEach(clearInterval);
      agent.destroy();
    });
    await Promise.all([now(), history()]);
  };
  // Without panels too: a daemon that has just stood still is another than one that was busy until now.
  await Promise.all([sleep(POLL_MS), ...Array.from({ length: count }, (_, at) => openOne(at))]);
  asked = 0;
  return {
    told: () => ({ asked, failed }),
    stop: () => ends.forEach((end) => end()),
  };
}

/** Tells the rows, and returns how many answers were wrong or lost. */
export async function panelRows({ count, calls }) {
  const admin = { host: "127.0.0.1", port: ADMIN_PORT };
  const folder = makeFolder({ "by-stdio": echoServer("stdio") }, { admin });
  const daemon = await startDaemon(folder);
  let wrong = 0;
  try {
    const token = readFileSync(join(folder.folder, "data", "admin.token"), "utf8").trim();
    const keys = [];
    for (let i = 0; i < USERS; i++)
      keys.push((await daemon.api("POST", "/api/users", { user: `user${i}` })).key.secret);
    for (const { name, transport, leaf } of TRANSPORTS) {
      const run = async (many, warmup) => {
        const result = await load({
          transport,
          sessions: 16,
          inflight: 32,
          calls: many,
          warmup,
          url: `${folder.url}/u/user0/by-stdio/${leaf}`,
          header: `authorization: Bearer ${keys[0]}`,
          proc: `it=${daemon.pid}`,
        });
        wrong += result.errors + result.strays;
        return result;
      };
      await run(calls, 0);
      const figures = { 0: [], [PANELS]: [] };
      let seen = { asked: 0, failed: 0 };
      for (let round = 0; round < count; round++)
        for (const panels of shuffled([0, PANELS])) {
          const there = await open(panels, token);
          figures[panels].push(await run(calls, 1_000));
          there.stop();
          const { asked, failed } = there.told();
          seen = { asked: seen.asked + asked, failed: seen.failed + failed };
        }
      wrong += seen.failed;
      tellRatio(name, figures, seen.asked);
    }
  } finally {
    await daemon.stop();
    removeFolder(folder);
  }
  return wrong;
}

function tellRatio(name, { 0: alone, [PANELS]: beside }, asked) {
  const over = (of) => median(beside.map((result, i) => of(result) / of(alone[i])));
  const cpu = over(({ procs }) => procs.it.cpuMsPer10k);
  const p99 = over(({ latencyMs }) => latencyMs.p99);
  const speed = over(({ callsPerSec }) => callsPerSec);
  tell(
    `${PANELS} panels open, calls over ${name}: CPU per call ÷ that without`,
    `${cpu.toFixed(3)}× (calls/s ${speed.toFixed(3)}×, p99 ${p99.toFixed(2)}×; they asked ${asked} times)`,
    `≤ ${MOST_TIMES}×`,
    cpu <= MOST_TIMES,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [count = 5, calls = 60_000] = process.argv.slice(2).map(Number);
  const wrong = await panelRows({ count, calls });
  console.log(`${table()}\n\nwrong or lost answers: ${wrong}`);
}
