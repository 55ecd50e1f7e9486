// What a session costs in memory that is open and has nothing to do.
import { echoServer, makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { load } from "./load.mjs";
import { tell } from "./report.mjs";

const SESSIONS = 2_000;
const IDLE = [
  { name: "SSE sessions, live relay", transport: "sse", server: "by-sse", most: 20 },
  { name: "Streamable HTTP sessions, live relay", transport: "http", server: "by-http", most: 18 },
  { name: "SSE sessions, child asleep", transport: "sse", server: "by-sse", isAsleep: true },
  { name: "SSE sessions, bridge over stdio", transport: "sse", server: "by-stdio" },
  {
    name: "Streamable HTTP sessions, bridge over stdio",
    transport: "http",
    server: "by-stdio",
  },
  // What is kept for clients that come back, of all of them together up to 64 MiB.
  { name: "SSE sessions, live relay, full log", transport: "sse", server: "by-sse", isFull: true },
];
/** Each call is so many events, of a log that keeps 256. */
const FILL = { fill: 4, tool: "progress", args: '{"count":64,"message":"hello {s}"}' };

/** Tells the rows, and returns how many answers were wrong or lost. */
export async function idleRows() {
  let wrong = 0;
  for (const { name, transport, server, isAsleep = false, isFull = false, most = 15 } of IDLE) {
    const folder = makeFolder({
      "by-sse": echoServer("sse"),
      "by-http": echoServer("http"),
      "by-stdio": echoServer("stdio"),
    });
    const daemon = await startDaemon(folder);
    try {
      const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
      const header = `authorization: Bearer ${key.secret}`;
      const url = `${folder.url}/u/alice/${server}/${transport === "sse" ? "sse" : "mcp"}`;
      // Warm code first, so that what is measured is sessions and not the first use of anything.
      const warm = await load({ url, transport, header, sessions: 50, inflight: 8, calls: 3_000 });
      const held = await load({
        mode: "idle",
        url,
        transport,
        header,
        sessions: SESSIONS,
        hold: 3,
        proc: `it=${daemon.pid}`,
        ...(isAsleep ? { "no-init": true } : {}),
        ...(isFull ? FILL : {}),
      });
      const kib = held.procs.it.kibPerSession;
      const [what, figure] = [`${SESSIONS} idle ${name}: memory each`, `${kib.toFixed(1)} KiB`];
      if (isFull) tell(what, figure, "–");
      else tell(what, figure, `≤ ${most} KiB`, kib <= most);
      for (const { errors, strays } of [warm, held]) wrong += errors + strays;
    } finally {
      await daemon.stop();
      removeFolder(folder);
    }
  }
  return wrong;
}
