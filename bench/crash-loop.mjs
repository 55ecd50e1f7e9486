// What a hundred users in a crash loop cost a hundred others: errors, and the p99 of their calls with
// and without.
//   node bench/crash-loop.mjs [seconds] [users of each kind]
import http from "node:http";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder, removeFolder, rssMiB, startDaemon } from "./daemon.mjs";

const SECONDS = Number(process.argv[2] ?? 60);
const USERS = Number(process.argv[3] ?? 100);
const echo = fileURLToPath(new URL("echo-stdio.mjs", import.meta.url));
const agent = new http.Agent({ keepAlive: true, maxSockets: 2 * USERS });

const folder = makeFolder(
  {
    well: { command: process.execPath, args: [echo] },
    broken: { command: process.execPath, args: ["-e", "process.exit(3)"] },
  },
  { limits: { children: 2 * USERS, streamsPerUser: 1_000 } },
);
const daemon = await startDaemon(folder);

function post(user, server, secret, session, message) {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  const headers = {
    authorization: `Bearer ${secret}`,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    accept: "application/json, text/event-stream",
    ...(session === undefined ? {} : { "mcp-session-id": session }),
  };
  return new Promise((resolve, reject) => {
    const req = http.request(
      `${folder.url}/u/${user}/${server}/mcp`,
      { method: "POST", headers, agent },
      (res) => {
        res.resume();
        res.on("end", () =>
          resolve({ status: res.statusCode, session: res.headers["mcp-session-id"] }),
        );
      },
    );
    req.on("error", reject);
    req.end(body);
  });
}

const params = {
  protocolVersion: "2025-03-26",
  capabilities: {},
  clientInfo: { name: "bench", version: "1" },
};
const initialize = { id: 0, method: "initialize", params };

async function addUsers(prefix) {
  const users = [];
  for (let i = 0; i < USERS; i++) {
    const { user, key } = await daemon.api("POST", "/api/users", { user: `${prefix}${i}` });
    users.push({ user, secret: key.secret });
  }
  return users;
}

/** Each of the users calls ten times a second; what their calls took, and how many failed. */
async function callAll(users, seconds) {
  const took = [];
  let errors = 0;
  const end = performance.now() + seconds * 1000;
  await Promise.all(
    users.map(async ({ user, secret, session }, at) => {
      await sleep(at % 100);
      for (let id = 1; performance.now() < end; id++) {
        const begun = performance.now();
        const call = {
          id,
          method: "tools/call",
          params: { name: "echo", arguments: { message: "x" } },
        };
        const { status } = await post(user, "well", secret, session, call).catch(() => ({}));
        if (status !== 200) errors++;
        took.push(performance.now() - begun);
        await sleep(100);
      }
    }),
  );
  took.sort((a, b) => a - b);
  return {
    errors,
    calls: took.length,
    p50: took[took.length >> 1],
    p99: took[Math.floor(took.length * 0.99)],
  };
}

/** Each of the users asks for a child that crashes, again and again, as fast as it is answered. */
async function crashAll(users, isOver) {
  let refusals = 0;
  await Promise.all(
    users.map(async ({ user, secret }) => {
      while (!isOver()) {
        await post(user, "broken", secret, undefined, initialize).catch(() => undefined);
        refusals++;
        await sleep(200);
      }
    }),
  );
  return refusals;
}

try {
  const [well, broken] = [await addUsers("well"), await addUsers("broken")];
  for (let i = 0; i < well.length; i += 4)
    await Promise.all(
      well.slice(i, i + 4).map(async (one) => {
        one.session = (await post(one.user, "well", one.secret, undefined, initialize)).session;
      }),
    );
  await callAll(well, 3);
  const alone = await callAll(well, SECONDS / 2);
  let isOver = false;
  const crashing = crashAll(broken, () => isOver);
  const beside = await callAll(well, SECONDS);
  isOver = true;
  const refusals = await crashing;
  const shown = ({ errors, calls, p50, p99 }) =>
    `${calls} calls, ${errors} errors, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
  console.log(`${USERS} users alone: ${shown(alone)}`);
  console.log(`beside ${USERS} in a crash loop (${refusals} refused messages): ${shown(beside)}`);
  console.log(
    `p99 ratio ${(beside.p99 / alone.p99).toFixed(2)} (to hold: ≤ 1.5, 0 errors); daemon ${rssMiB(daemon.pid).toFixed(0)} MiB`,
  );
  process.exitCode = beside.errors === 0 ? 0 : 1;
} finally {
  agent.destroy();
  await daemon.stop();
  removeFolder(folder);
}
