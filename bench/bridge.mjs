// The bridge over stdio, beside the bridges of others over the same child.
//   node bench/bridge.mjs [ROUNDS] [CALLS]     these rows alone
import { fileURLToPath } from "node:url";
import getPort from "get-port";
import { echoServer, makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { load } from "./load.mjs";
import { fetchPeers, startPeer } from "./peers.mjs";
import { median, shuffled, sum, table, tell } from "./report.mjs";

const WARM_CALLS = 40_000;
/** What others are asked in a round, of what is asked of us: they are slower. */
const PEER_SHARE = 0.5;
const MANY = { sessions: 16, inflight: 32, warmup: 0 };
const BRIDGES = [
  { name: "SSE bridge over stdio", transport: "sse", leaf: "sse", least: { "mcp-proxy": 2.5 } },
  {
    name: "Streamable HTTP bridge over stdio",
    transport: "http",
    leaf: "mcp",
    least: { "mcp-proxy": 5, "mcp-proxy (Rust)": 1.3 },
  },
];

/** Each peer that is there, running and warm. */
async function startAll(peers, transport, calls) {
  const started = [];
  for (const peer of peers) {
    const { url, pid, stop } = await startPeer(peer, transport, await getPort());
    const said = { args: '{"message":"hello {s}"}', expect: "hello {s}" };
    const options = { ...MANY, transport, url, calls, proc: `it=${pid}` };
    const tool = peer.tool === undefined ? {} : { tool: peer.tool, ...said };
    const run = () => load({ ...options, ...tool });
    await run();
    started.push({ name: `${peer.name} ${peer.version}`, key: peer.name, run, stop, calls });
  }
  return started;
}

function tellRows(name, ours, others, least) {
  const cpu = (of) => `${Math.round(median(of.map(({ procs }) => procs.it.cpuMsPer10k / 10)))} µs`;
  const each = [{ name: "ours", results: ours }, ...others];
  tell(
    `${name}: CPU per call`,
    each.map((one) => `${one.name} ${cpu(one.results)}`).join(", "),
    "–",
  );
  for (const { name: peer, key, results, calls } of others) {
    const times = median(results.map((one, i) => ours[i].callsPerSec / one.callsPerSec));
    const limit = least[key];
    const target = limit === undefined ? "–" : `≥ ${limit.toFixed(1)}×`;
    const isHeld = limit === undefined ? undefined : times >= limit;
    tell(`${name}: calls/s, times those of ${peer}`, `${times.toFixed(2)}×`, target, isHeld);
    const wrong = sum(results.map(({ errors }) => errors));
    if (wrong > 0)
      tell(`${name}: wrong answers of ${peer}`, `${wrong} of ${calls * results.length}`, "–");
  }
}

/** Tells the rows, and returns how many of our answers were wrong or lost. */
export async function bridgeRows({ count, calls }) {
  const peers = fetchPeers();
  const folder = makeFolder({ "by-stdio": echoServer("stdio") });
  const daemon = await startDaemon(folder);
  const stops = [];
  let wrong = 0;
  try {
    const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
    const header = `authorization: Bearer ${key.secret}`;
    for (const { name, transport, leaf, least } of BRIDGES) {
      const url = `${folder.url}/u/alice/by-stdio/${leaf}`;
      const run = (of) =>
        load({ ...MANY, transport, url, header, calls: of, proc: `it=${daemon.pid}` });
      await run(WARM_CALLS);
      const wanted = peers.filter(({ transports }) => transports.includes(transport));
      const there = wanted.filter(({ isThere }) => isThere);
      const others = await startAll(there, transport, Math.ceil(calls * PEER_SHARE));
      stops.push(...others.map(({ stop }) => stop));
      const ways = [{ name: "ours", run: () => run(calls) }, ...others];
      for (const way of ways) way.results = [];
      for (let round = 0; round < count; round++)
        for (const way of shuffled(ways)) way.results.push(await way.run());
      tellRows(name, ways[0].results, others, least);
      for (const peer of wanted.filter(({ isThere }) => !isThere))
        tell(`${name}: beside ${peer.name} ${peer.version}`, `absent (${peer.from})`, "–");
      wrong += sum(ways[0].results.map(({ errors, strays }) => errors + strays));
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
  const wrong = await bridgeRows({ count, calls });
  console.log(`${table()}\n\nwrong or lost answers: ${wrong}`);
}
