// What a relayed call costs, beside nginx, the floor of Node and a bare pipe before the same server.
//   node bench/relay.mjs [ROUNDS] [CALLS]     these rows alone
import { fileURLToPath } from "node:url";
import { echoServer, makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { load } from "./load.mjs";
import { startProxies } from "./proxies.mjs";
import { median, shuffled, sum, table, tell } from "./report.mjs";

const WARM_CALLS = 40_000;
const WARM_PROXY_CALLS = 10_000;
const TRANSPORTS = [
  { name: "SSE relay", transport: "sse", leaf: "sse", mostTimes: 2.0 },
  { name: "Streamable HTTP relay", transport: "http", leaf: "mcp", mostTimes: 2.2 },
];
const LEAST_OF_NGINX = 0.8;
const MOST_ADDED = 2.0;

/** One round of one way to the server: how many calls a second, what each costs its process, and how long one alone takes. */
async function measure({ url, pid, header = [] }, transport, calls) {
  const one = { transport, url, header };
  const proc = pid === undefined ? [] : `it=${pid}`;
  const many = await load({ ...one, proc, sessions: 16, inflight: 32, calls, warmup: 1_000 });
  const alone = await load({ ...one, calls: Math.ceil(calls / 4), warmup: 200 });
  return {
    perSecond: many.callsPerSec,
    cpuMs: many.procs.it?.cpuMsPer10k,
    p50: alone.latencyMs.p50,
    wrong: many.errors + many.strays + alone.errors + alone.strays,
  };
}

/** Rounds of all ways in turn, each round in an order of its own. */
async function rounds(ways, transport, { count, calls }) {
  const warm = { transport, sessions: 16, inflight: 32, warmup: 0 };
  for (const { name, url, header = [] } of ways)
    await load({ ...warm, url, header, calls: name === "ours" ? WARM_CALLS : WARM_PROXY_CALLS });
  const all = [];
  for (let round = 0; round < count; round++) {
    const results = {};
    for (const way of shuffled(ways)) results[way.name] = await measure(way, transport, calls);
    all.push(results);
  }
  return all;
}

/** The median over the rounds of what is made of each. */
const over = (all, of) => median(all.map(of));
const times = (value) => `${value.toFixed(2)}×`;
const most = (value, limit) => [times(value), `≤ ${limit.toFixed(1)}×`, value <= limit];

function tellRows(name, all, mostTimes) {
  const isThere = (proxy) => all[0][proxy] !== undefined;
  const cpuTimes = (proxy) => over(all, (round) => round.ours.cpuMs / round[proxy].cpuMs);
  const microseconds = (proxy) => `${Math.round(over(all, (round) => round[proxy].cpuMs / 10))} µs`;
  if (isThere("nginx")) {
    tell(`${name}: CPU per call ÷ nginx's`, ...most(cpuTimes("nginx"), mostTimes));
  } else tell(`${name}: beside nginx`, "nginx is absent", "–");
  tell(`${name}: CPU per call ÷ that of the floor`, ...most(cpuTimes("floor"), mostTimes));
  if (isThere("nginx")) {
    const share = over(all, (round) => round.ours.perSecond / round.nginx.perSecond);
    const least = `≥ ${LEAST_OF_NGINX.toFixed(2)}`;
    tell(`${name}: calls/s of nginx's`, share.toFixed(2), least, share >= LEAST_OF_NGINX);
    const added = over(
      all,
      ({ ours, nginx, direct }) => (ours.p50 - direct.p50) / (nginx.p50 - direct.p50),
    );
    tell(`${name}, 1 in flight: added p50 ÷ nginx's`, ...most(added, MOST_ADDED));
  }
  const shown = ["ours", "nginx", "floor", "pipe"].filter(isThere);
  const each = shown.map((proxy) => `${proxy} ${microseconds(proxy)}`).join(", ");
  tell(`${name}: CPU per call`, each, "–");
  const direct = shown.map(
    (proxy) =>
      `${proxy} ${over(all, (round) => round[proxy].perSecond / round.direct.perSecond).toFixed(2)}`,
  );
  tell(`${name}: calls/s of direct`, direct.join(", "), "–");
}

/** Tells the rows, and returns how many answers were wrong or lost. */
export async function relayRows({ count, calls }) {
  const folder = makeFolder({ "by-sse": echoServer("sse"), "by-http": echoServer("http") });
  const daemon = await startDaemon(folder);
  const stops = [];
  let wrong = 0;
  try {
    const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
    const header = `authorization: Bearer ${key.secret}`;
    for (const { name, transport, leaf, mostTimes } of TRANSPORTS) {
      const url = `${folder.url}/u/alice/by-${transport}/${leaf}`;
      await load({ transport, header, url });
      const { instances } = await daemon.api("GET", "/api/status");
      const { port } = instances.find(({ server }) => server === `by-${transport}`);
      const proxies = await startProxies(port);
      stops.push(...proxies.map(({ stop }) => stop));
      const ways = [
        { name: "direct", url: `http://127.0.0.1:${port}/${leaf}` },
        { name: "ours", url, pid: daemon.pid, header },
        ...proxies.map((proxy) => ({ ...proxy, url: `${proxy.url}/${leaf}` })),
      ];
      const all = await rounds(ways, transport, { count, calls });
      tellRows(name, all, mostTimes);
      wrong += sum(all.map(({ ours }) => ours.wrong));
      await Promise.all(stops.splice(0).map((stop) => stop()));
    }
  } finally {
    await Promise.all(stops.map((stop) => stop()));
    await daemon.stop();
    removeFolder(folder);
  }
  return wrong;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [count = 5, calls = 10_000] = process.argv.slice(2).map(Number);
  const wrong = await relayRows({ count, calls });
  console.log(`${table()}\n\nwrong or lost answers: ${wrong}`);
}
