// What 400 bad clients cost a good one: 200 that are slow to ask and 200 that never read an answer.
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
  let ended = 0;
  const sockets = new Set();
  const dial = (words, drip, isDeaf) => {
    if (isOver) return;
    const socket = connect(port, "127.0.0.1");
    sockets.add(socket);
    if (isDeaf) socket.pause();
    else socket.resume();
    socket.on("error", () => undefined);
    socket.on("close", () => {
      sockets.delete(socket);
      if (isOver) return;
      ended += 1;
      dial(words, drip, isDeaf);
    });
    socket.write(words);
    socket.drip = drip;
  };
  const post = (framing) =>
    `POST /u/alice/by-http/mcp HTTP/1.1\r\nhost: localhost\r\n${header}\r\ncontent-type: application/json\r\n${framing}\r\n\r\n`;
  const blob = JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: { name: "blob", arguments: { bytes: BLOB_BYTES } },
  });
  for (let i = 0; i < EACH; i++) {
    dial("GET /health HTTP/1.1\r\nhost: localhost\r\nx: ", "x", false);
    dial(post("transfer-encoding: chunked"), "1\r\n \r\n", false);
    dial(post(`content-length: ${blob.length}`) + blob, "", true);
    dial(post(`content-length: ${blob.length}`) + blob, "", true);
  }
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.drip !== "") socket.write(socket.drip);
  }, 1_000);
  return {
    get ended() {
      return ended;
    },
    stop() {
      isOver = true;
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
    },
  };
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
    const header = `authorization: Bearer ${key.secret}`;
    const good = {
      url: `${folder.url}/u/bob/by-sse/sse`,
      transport: "sse",
      header: `authorization: Bearer ${other.secret}`,
      sessions: 8,
      rate: CALLS_PER_S,
    };
    await load({ ...good, rate: 1_000, calls: 10_000 });
    const [alone, among, grown] = [[], [], []];
    let ended = 0;
    for (let round = 0; round < rounds; round++) {
      const calls = CALLS_PER_S * seconds;
      const a = await load({ ...good, calls });
      const before = rssMiB(daemon.pid);
      const bad = crowd(Number(new URL(folder.url).port), header);
      await sleep(5_000);
      const b = await load({ ...good, calls });
      grown.push(rssMiB(daemon.pid) - before);
      ended += bad.ended;
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
    console.error(`${ended} bad clients were ended by the gateway meanwhile`);
  } finally {
    await daemon.stop();
    removeFolder(folder);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await slowClients(3, 20);
  console.log(table());
}
