// Many users at work, each with a child of their own, and what a call costs then beside one user's.
//   node bench/users.mjs [USERS] [ROUNDS] [CALLS]     these rows alone
import { fileURLToPath } from "node:url";
import { echoServer, makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { load } from "./load.mjs";
import { median, shuffled, table, tell } from "./report.mjs";

const MOST_TIMES = 1.5;
const TRANSPORTS = [
  { name: "Streamable HTTP", transport: "http", leaf: "mcp" },
  { name: "SSE", transport: "sse", leaf: "sse" },
];

/** Tells the rows, and returns how many answers were wrong or lost. */
export async function userRows({ users, count, calls }) {
  const limits = { children: users, memory: "64G" };
  const folder = makeFolder({ "by-stdio": echoServer("stdio") }, { limits });
  const daemon = await startDaemon(folder);
  let wrong = 0;
  try {
    const keys = [];
    for (let i = 0; i < users; i++)
      keys.push((await daemon.api("POST", "/api/users", { user: `user${i}` })).key.secret);
    for (const { name, transport, leaf } of TRANSPORTS) {
      const run = async (of, warmup) => {
        const result = await load({
          transport,
          inflight: 32,
          calls,
          warmup,
          users: of,
          sessions: Math.max(16, of),
          url: `${folder.url}/u/user{i}/by-stdio/${leaf}`,
          keys: keys.slice(0, of).join(","),
          proc: `it=${daemon.pid}`,
        });
        wrong += result.errors + result.strays;
        return result.procs.it.cpuMsPer10k;
      };
      for (const of of [1, users]) await run(of, calls);
      const costs = { 1: [], [users]: [] };
      for (let round = 0; round < count; round++)
        for (const of of shuffled([1, users])) costs[of].push(await run(of, 1_000));
      const times = median(costs[users].map((ms, i) => ms / costs[1][i]));
      const each = [1, users].map((of) => `${Math.round(median(costs[of]) / 10)} µs`);
      tell(
        `${users} users at work over ${name}, a stdio child each: CPU per call ÷ that of 1 user`,
        `${times.toFixed(2)}× (${each.join(" → ")})`,
        `≤ ${MOST_TIMES}×`,
        times <= MOST_TIMES,
      );
    }
  } finally {
    await daemon.stop();
    removeFolder(folder);
  }
  return wrong;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [users = 256, count = 3, calls = 5_000] = process.argv.slice(2).map(Number);
  const wrong = await userRows({ users, count, calls });
  console.log(`${table()}\n\nwrong or lost answers: ${wrong}`);
}
