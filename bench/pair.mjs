// Two checkouts in turns, old and new, over each way through the gateway: what a call costs the daemon's
// process of one, of the other's. The turns are short and many, so that what else the machine does falls on both.
//   node bench/pair.mjs OLD_DIR NEW_DIR [--rounds 10] [--calls 3000] [--only sse,http,stdio-sse,stdio-http] [--size BYTES]
// Both are to be built. The spread is that of the old one to itself from turn to turn: less than that is nothing.
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import getPort from "get-port";
import { echoServer, makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { load } from "./load.mjs";
import { atShare, median, shuffled } from "./report.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "10" },
    calls: { type: "string", default: "3000" },
    warm: { type: "string", default: "30000" },
    only: { type: "string", default: "sse,http,stdio-sse,stdio-http" },
    size: { type: "string", default: "0" },
  },
});
const [rounds, calls, warm, size] = [values.rounds, values.calls, values.warm, values.size].map(
  Number,
);
if (positionals.length !== 2) {
  console.error("usage: node bench/pair.mjs OLD_DIR NEW_DIR [--rounds N] [--calls N] [--only …]");
  process.exit(2);
}

const WAYS = {
  sse: { transport: "sse", server: "by-sse" },
  http: { transport: "http", server: "by-http" },
  "stdio-sse": { transport: "sse", server: "by-stdio" },
  "stdio-http": { transport: "http", server: "by-stdio" },
};

async function open(checkout) {
  const servers = Object.fromEntries(
    ["sse", "http", "stdio"].map((transport) => [`by-${transport}`, echoServer(transport)]),
  );
  const folder = makeFolder(servers, { port: await getPort() });
  const daemon = await startDaemon(folder, { checkout: resolve(checkout) });
  const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
  const header = `authorization: Bearer ${key.secret}`;
  const run = ({ transport, server }, many) =>
    load({
      transport,
      header,
      sessions: 16,
      inflight: 32,
      size,
      proc: `it=${daemon.pid}`,
      url: `${folder.url}/u/alice/${server}/${transport === "sse" ? "sse" : "mcp"}`,
      ...many,
    });
  return {
    run,
    async close() {
      await daemon.stop();
      removeFolder(folder);
    },
  };
}

const sides = [];
let wrong = 0;
try {
  for (const checkout of positionals) sides.push(await open(checkout));
  for (const name of values.only.split(",")) {
    for (const { run } of sides) await run(WAYS[name], { calls: warm, warmup: 0 });
    const cpu = [[], []];
    for (let round = 0; round < rounds; round++)
      for (const i of shuffled([0, 1])) {
        const result = await sides[i].run(WAYS[name], { calls, warmup: 200 });
        wrong += result.errors + result.strays;
        cpu[i].push(result.procs.it.cpuMsPer10k);
      }
    const [old, latest] = cpu;
    const ratios = latest.map((ms, i) => ms / old[i]);
    const spread = old.slice(1).map((ms, i) => ms / old[i]);
    const range = (of) => `${atShare(of, 0.25).toFixed(2)}–${atShare(of, 0.75).toFixed(2)}`;
    console.log(
      `${name}: new ÷ old ${median(ratios).toFixed(3)} (${range(ratios)}); old ÷ old ${range(spread)}; ` +
        `${Math.round(median(old) / 10)} → ${Math.round(median(latest) / 10)} µs a call`,
    );
  }
} finally {
  for (const side of sides) await side.close();
}
console.log(`wrong or lost answers: ${wrong}`);
process.exit(wrong === 0 ? 0 : 1);
