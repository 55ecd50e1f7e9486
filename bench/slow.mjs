// What 400 bad clients cost a good one: 200 that are slow to ask and 200 that never read an answer,
// be it one answer or a stream that their child floods.
//   node bench/slow.mjs           this row alone
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder, removeFolder, rssMiB, startDaemon } from "./daemon.mjs";
import { load } from "./load.mjs";
import { median, table, tell } from "./report.mjs";

const EACH = 100;
const BLOB_BYTES = 4 * 1024 * 1024;
const CALLS_PER_S = 200;
const here = (file) => fileURLToPath(new URL(file, import.meta.url));

/** Keeps so many bad clients there until told to stop: one that the gateway ends is followed by the next. */
function crowd(port, header) {
  let isOver = false;
  let [ended, floods] = [0, 0];
  const sockets = new Set();
  const dial = (words, drip, listen) => {
    if (isOver) return;
    const socket = connect(port, "127.0.0.1");
    sockets.add(socket);
    listen(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      sockets.delete(socket);
      if (isOver) return;
      ended += 1;
      dial(words, drip, listen);
    });
    socket.write(words);
    socket.drip = drip;
  };
  const reads = (socket) => socket.resume();
  const isDeaf = (socket) => socket.pause();
  const head = `host: localhost\r\n${header}\r\n`;
  const post = (framing, path = "/u/alice/by-http/mcp") =>
    `POST ${path} HTTP/1.1\r\n${head}content-type: application/json\r\n${framing}\r\n\r\n`;
  const callOf = (name) =>
    JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name, arguments: { bytes: BLOB_BYTES } },
    });
  const [blob, flood] = [callOf("blob"), callOf("flood")];
  /** Reads where to post, asks for a flood there, and never reads again. */
  const isFlooded = (socket) => {
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk) => {
      text += chunk;
      const [, path] = /^data: (.*)\n/m.exec(text) ?? [];
      if (path === undefined) return;
      socket.pause();
      floods += 1;
      const framing = `connection: close\r\ncontent-length: ${flood.length}`;
      const asking = connect(port, "127.0.0.1").resume();
      asking.on("error", () => undefined).end(post(framing, path) + flood);
    });
  };
  for (let i = 0; i < EACH; i++) {
    dial("GET /health HTTP/1.1\r\nhost: localhost\r\nx: ", "x", reads);
    dial(post("transfer-encoding: chunked"), "1\r\n \r\n", reads);
    dial(post(`content-length: ${blob.length}`) + blob, "", isDeaf);
    dial(`GET /u/alice/by-sse/sse HTTP/1.1\r\n${head}\r\n`, "", isFlooded);
  }
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.drip !== "") socket.write(socket.drip);
  }, 1_000);
  return {
    get ended() {
      return ended;
    },
    get floods() {
      return floods;
    },
    stop() {
      isOver = true;
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** The header of a session over Streamable HTTP: without one a call is refused, and nothing is large. */
async function sessionHeader(url, authorization) {
  const response = await fetch(url, {
    method: "POST",
    headers: { authorization, "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params: {} }),
  });
  await response.arrayBuffer();
  const session = response.headers.get("mcp-session-id");
  if (session === null) throw new Error(`no session: ${response.status}`);
  return `mcp-session-id: ${session}`;
}

/** Calls of a good client at a steady rate, with the crowd and without it, in turn. */
export async function slowClients(rounds, seconds) {
  const child = ["node", [here("./echo-http.mjs"), "--port", "${port}"]];
  const server = (type) => ({ type, command: child[0], args: child[1] });
  const folder = makeFolder({ "by-sse": server("sse"), "by-http": server("http") });
  const daemon = await startDaemon(folder);
  let failures = 0;
  try {
    const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
    const { key: other } = await daemon.api("POST", "/api/users", { user: "bob" });
    const session = await sessionHeader(
      `${folder.url}/u/alice/by-http/mcp`,
      `Bearer ${key.secret}`,
    );
    const header = `authorization: Bearer ${key.secret}\r\n${session}`;
    const good = {
      url: `${folder.url}/u/bob/by-sse/sse`,
      transport: "sse",
      header: `authorization: Bearer ${other.secret}`,
      sessions: 8,
      rate: CALLS_PER_S,
    };
    await load({ ...good, rate: 1_000, calls: 10_000 });
    const [alone, among, grown] = [[], [], []];
    let [ended, floods] = [0, 0];
    for (let round = 0; round < rounds; round++) {
      const calls = CALLS_PER_S * seconds;
      const a = await load({ ...good, calls });
      const before = rssMiB(daemon.pid);
      const bad = crowd(Number(new URL(folder.url).port), header);
      await sleep(5_000);
      const b = await load({ ...good, calls });
      grown.push(rssMiB(daemon.pid) - before);
      ended += bad.ended;
      floods += bad.floods;
      bad.stop();
      await sleep(1_000);
      failures += a.errors + b.errors + a.strays + b.strays;
      alone.push(a.latencyMs.p99);
      among.push(b.latencyMs.p99);
    }
    const ratio = median(among.map((p99, i) => p99 / alone[i]));
    tell(
      `${EACH * 2} slow clients and ${EACH * 2} that never read: the others' p99 of their p99 alone`,
      `${ratio.toFixed(2)} (${median(alone).toFixed(1)} → ${median(among).toFixed(1)} ms)`,
      "≤ 2",
      ratio <= 2,
    );
    tell("the same: calls of the others that failed", String(failures), "0", failures === 0);
    tell("the same: memory of the daemon", `+${Math.round(median(grown))} MiB`, "–");
    console.error(
      `${ended} bad clients were ended by the gateway meanwhile, ${floods} streams were flooded`,
    );
  } finally {
    await daemon.stop();
    removeFolder(folder);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await slowClients(3, 20);
  console.log(table());
}
