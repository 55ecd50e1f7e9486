// Tools over REST (`POST /tools`, `GET /tools/list`) of a user whose children sleep: what the call takes
// beyond a bare start of the same child that is called by hand, and what a list takes that starts none.
//   node bench/tools-asleep.mjs [TIMES]     these rows alone
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { initialize } from "./clients.mjs";
import { CHILDREN } from "./cold.mjs";
import { echoServer, makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { atShare, median, table, tell } from "./report.mjs";

const MOST_ADDED_MS = 15;
const MOST_LIST_MS = 50;
const SERVERS = 10;
const LISTS = 10;
/** For what a child shows, which is asked for behind the calls. */
const KNOWN_WITHIN_MS = 10_000;
const CALL = { name: "echo", arguments: { message: "x" } };
const MESSAGES = [
  { id: 0, ...initialize },
  { method: "notifications/initialized" },
  { id: 1, method: "tools/call", params: CALL },
];

/** A daemon with these servers, and alice, whose children sleep and have shown what they have. */
async function openAsleep(servers) {
  const folder = makeFolder(servers);
  const daemon = await startDaemon(folder);
  const close = async () => {
    await daemon.stop();
    removeFolder(folder);
  };
  const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
  const headers = { authorization: `Bearer ${key.secret}`, "content-type": "application/json" };
  const ask = async (path, body) => {
    const sent = body && { method: "POST", body: JSON.stringify(body) };
    const answer = await fetch(`${folder.url}${path}`, { headers, ...sent });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  };
  const fallAsleep = async () => await daemon.api("POST", "/api/users/alice/stop", {});
  const call = async (server) =>
    await ask("/tools", { method: CALL.name, args: CALL.arguments, server, strict: true });
  const isKnown = async () => {
    const { servers: rows } = await ask("/servers");
    return rows.every(({ state, tools }) => state === "stopped" && tools !== null);
  };
  try {
    for (const end = performance.now() + KNOWN_WITHIN_MS; !(await isKnown());) {
      if (performance.now() > end) throw new Error("what the children have is not known");
      await Promise.all(Object.keys(servers).map(call));
      await sleep(200);
      await fallAsleep();
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { daemon, ask, call, fallAsleep, close };
}

async function callRows(times) {
  const servers = { "by-stdio": echoServer("stdio"), "by-http": echoServer("http") };
  const opened = await openAsleep(servers);
  try {
    for (const { name, server, bare } of CHILDREN) {
      const [bares, all] = [[], []];
      for (let round = 0; round < times; round++) {
        bares.push(await bare(MESSAGES));
        const begun = performance.now();
        await opened.call(server);
        all.push(performance.now() - begun);
        await opened.fallAsleep();
      }
      const added = median(all.map((ms, i) => ms - bares[i]));
      const shown = [bares, all].map((of) => `${Math.round(median(of))} ms`).join(" → ");
      tell(
        `\`POST /tools\` of a sleeping user, a child over ${name}: added to a bare start and call`,
        `${added.toFixed(1)} ms (${shown})`,
        `≤ ${MOST_ADDED_MS} ms`,
        added <= MOST_ADDED_MS,
      );
    }
  } finally {
    await opened.close();
  }
}

async function listRow(times) {
  const names = Array.from({ length: SERVERS }, (_, i) => `server-${i}`);
  const opened = await openAsleep(
    Object.fromEntries(names.map((name) => [name, echoServer("stdio")])),
  );
  try {
    const took = [];
    for (let round = 0; round < times; round++) {
      const begun = performance.now();
      const { tools, errors } = await opened.ask("/tools/list");
      took.push(performance.now() - begun);
      if (errors.length > 0 || tools[0]?.servers.length !== SERVERS)
        throw new Error("the list is not whole");
    }
    const { instances } = await opened.daemon.api("GET", "/api/status");
    const awake = instances.filter(({ state }) => state !== "stopped").length;
    const [first, half, most] = [took[0], atShare(took, 0.5), atShare(took, 0.99)];
    tell(
      `\`GET /tools/list\` over ${SERVERS} sleeping servers: the first, p50 and p99`,
      [first, half, most].map((ms) => `${ms.toFixed(1)} ms`).join(", "),
      `≤ ${MOST_LIST_MS} ms`,
      Math.max(first, most) <= MOST_LIST_MS,
    );
    tell("the same: children that were started for it", String(awake), "0", awake === 0);
  } finally {
    await opened.close();
  }
}

export async function toolsAsleepRows(times) {
  await callRows(times);
  await listRow(times * LISTS);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [times = 15] = process.argv.slice(2).map(Number);
  await toolsAsleepRows(times);
  console.log(table());
}
