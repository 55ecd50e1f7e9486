// What a body costs the daemon, for each kind of message, 1, 100 and 1,000 of them in a body: work is
// linear in the messages, and none holds up others for over 20 ms. Prints a table; exits 1 where a
// figure is missed.
//   npm run bodies                    all rows
//   npm run bodies -- 5 "mcp over"    five rounds of those whose name holds this
import http from "node:http";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { echoServer, makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { median, table, tell } from "./report.mjs";

const ROUNDS = Number(process.argv[2] ?? 3);
const WANTED = process.argv[3] ?? "";
const SIZES = [1, 100, 1000];
const PAUSE_MS = 20;
/** Per message, of a body of 1,000 to one of 100. What is quadratic comes near ten. */
const TIMES = 2;
const MIB = 2 ** 20;
const MANY_CALLS = 20_000;

const SERVERS = {
  "by-stdio": echoServer("stdio"),
  "by-sse": echoServer("sse"),
  "by-http": echoServer("http"),
};

let lastId = 0;
const request = (method, params) => ({ jsonrpc: "2.0", id: ++lastId, method, params });
const call = (name, args, more) => request("tools/call", { name, arguments: args, ...more });
const cancel = (requestId) => ({
  jsonrpc: "2.0",
  method: "notifications/cancelled",
  params: { requestId },
});

/** By what they are called: makes the message of that number. */
const KINDS = {
  "tools/call": () => call("echo", { message: "hello" }),
  "tools/call, progressToken": (i) =>
    call("echo", { message: "hello" }, { _meta: { progressToken: `p${i}` } }),
  "resources/subscribe": () => request("resources/subscribe", { uri: `file:///${lastId}` }),
  "logging/setLevel": (i) => request("logging/setLevel", { level: i % 2 ? "debug" : "info" }),
  "tools/list": () => request("tools/list", {}),
  ping: () => request("ping"),
  response: (i) => ({ jsonrpc: "2.0", id: `asked-${i}`, result: {} }),
  "notifications/cancelled": () => cancel(1),
  "notifications/progress": (i) => ({
    jsonrpc: "2.0",
    method: "notifications/progress",
    params: { progressToken: `q${i}`, progress: i },
  }),
};

const folder = makeFolder(SERVERS, { port: 18_043 });
let onProbed;
const daemon = await startDaemon(folder, {
  preload: fileURLToPath(new URL("./loop-probe.mjs", import.meta.url)),
  onMessage: (seen) => onProbed(seen),
});
const agent = new http.Agent({ keepAlive: true });
let key;

const probe = () =>
  new Promise((resolve) => {
    onProbed = resolve;
    daemon.send("look");
  });

/** What it took the daemon to do this, and to come to rest after it. */
async function costOf(work) {
  await probe();
  await work();
  await sleep(20);
  return await probe();
}

function send(method, path, headers, body, onData, underWay) {
  return new Promise((resolve, reject) => {
    const all = {
      authorization: `Bearer ${key}`,
      accept: "application/json, text/event-stream",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    };
    const req = http.request(new URL(path, folder.url), { method, headers: all, agent }, (res) => {
      if (res.statusCode >= 300) return reject(new Error(`${method} ${path}: ${res.statusCode}`));
      let text = "";
      res
        .setEncoding("utf8")
        .on("data", (more) => (onData === undefined ? (text += more) : onData(more)));
      if (onData !== undefined) return resolve({ close: () => req.destroy() });
      res.once("end", () => resolve({ text, session: res.headers["mcp-session-id"] }));
    });
    underWay?.add(req);
    req.on("error", reject);
    req.on("close", () => {
      underWay?.delete(req);
      reject(new Error("closed"));
    });
    req.end(body);
  });
}

const INITIALIZE = JSON.stringify(
  request("initialize", {
    protocolVersion: "2025-03-26",
    capabilities: {},
    clientInfo: { name: "bodies", version: "1" },
  }),
);

/** A session that has said hello: `post` is over when its `answers` have come. */
async function open(front, server) {
  const path = `/u/alice/${server}/${front}`;
  if (front === "mcp") {
    const { session } = await send("POST", path, {}, INITIALIZE);
    const headers = { "mcp-session-id": session };
    const posts = new Set();
    return {
      post: (body) => send("POST", path, headers, body, undefined, posts),
      async close() {
        await send("DELETE", path, headers);
        // Those that wait are its client's to end.
        for (const req of posts) req.destroy();
      },
    };
  }
  let [got, wanted, head] = [0, 1, ""];
  let onEndpoint = () => {};
  let onGot = () => {};
  const endpointIn = () => /data: (\/\S*)\n\n/.exec(head)?.[1];
  const stream = await send("GET", path, {}, undefined, (more) => {
    if (endpointIn() === undefined) {
      head += more;
      if (endpointIn() !== undefined) onEndpoint();
      return;
    }
    got += more.split('"jsonrpc"').length - 1;
    if (got >= wanted) onGot();
  });
  if (endpointIn() === undefined) await new Promise((resolve) => (onEndpoint = resolve));
  const endpoint = endpointIn();
  const post = async (body, answers) => {
    [got, wanted] = [0, answers];
    const answered = new Promise((resolve) => (onGot = resolve));
    await send("POST", endpoint, {}, body);
    if (got < wanted) await answered;
  };
  await post(INITIALIZE, 1);
  return { post, close: () => stream.close() };
}

const answersTo = (messages) =>
  messages.filter(({ id, method }) => id !== undefined && method !== undefined).length;

async function kindRow(front, server, name) {
  const row = `${front} over ${server.slice(3)}, ${name}`;
  if (!row.includes(WANTED)) return;
  const session = await open(front, server);
  const [each, pauses] = [new Map(SIZES.map((size) => [size, []])), []];
  for (let round = -1; round < ROUNDS; round++) {
    for (const size of SIZES) {
      const posts = Math.max(1, 100 / size);
      const { cpuMs, longestMs } = await costOf(async () => {
        for (let post = 0; post < posts; post++) {
          const messages = Array.from({ length: size }, (_, i) => KINDS[name](i));
          const body = JSON.stringify(size === 1 ? messages[0] : messages);
          await session.post(body, answersTo(messages));
        }
      });
      // The first round compiles.
      if (round === -1) continue;
      each.get(size).push(cpuMs / size / posts);
      pauses.push(longestMs);
    }
  }
  await session.close();
  const [one, hundred, thousand] = SIZES.map((size) => median(each.get(size)));
  const longest = Math.max(...pauses);
  tell(
    row,
    `${[one, hundred, thousand].map((ms) => ms.toFixed(3)).join(" / ")} ms, pause ${longest.toFixed(1)} ms`,
    `≤ ${TIMES}×, < ${PAUSE_MS} ms`,
    // A tenth of a millisecond is below what can be told apart.
    thousand <= Math.max(hundred * TIMES, 0.05) && longest < PAUSE_MS,
  );
}

async function pauseRow(what, work) {
  if (!what.includes(WANTED)) return;
  const longest = [];
  for (let round = -1; round < ROUNDS; round++) {
    const ms = await work();
    if (round >= 0) longest.push(ms);
  }
  const worst = Math.max(...longest);
  tell(what, `pause ${worst.toFixed(1)} ms`, `< ${PAUSE_MS} ms`, worst < PAUSE_MS);
}

const sleeping = () =>
  Array.from({ length: 1000 }, () => call("sleep", { ms: 600_000, message: "late" }));

/** Calls that wait are cancelled in one body, and a session with very many ends. */
async function openCalls(front) {
  await pauseRow(`${front} over stdio, 1,000 calls under way cancelled`, async () => {
    const session = await open(front, "by-stdio");
    const calls = sleeping();
    const waiting = session.post(JSON.stringify(calls), 0);
    if (front === "sse") await waiting;
    else await sleep(200);
    const body = JSON.stringify(calls.map(({ id }) => cancel(id)));
    const { longestMs } = await costOf(() => session.post(body, 0));
    await session.close();
    await waiting.catch(() => {});
    return longestMs;
  });
  const many = MANY_CALLS.toLocaleString("en");
  const withMany = async (end) => {
    const session = await open(front, "by-stdio");
    const waiting = [];
    for (let i = 0; i < MANY_CALLS; i += 1000) {
      waiting.push(session.post(JSON.stringify(sleeping()), 0).catch(() => {}));
      if (front === "sse") await waiting.at(-1);
      else await sleep(100);
    }
    await sleep(500);
    const { longestMs } = await costOf(async () => {
      await end(session);
      await Promise.all(waiting);
      // Their rows of the audit are written a moment later.
      await sleep(1500);
    });
    return longestMs;
  };
  await pauseRow(`${front} over stdio, a session with ${many} calls under way ends`, () =>
    withMany((session) => session.close()),
  );
  await pauseRow(`${front} over stdio, a child with ${many} calls under way ends`, async () => {
    let ended;
    const longestMs = await withMany(async (session) => {
      const { instances } = await daemon.api("GET", "/api/status");
      const child = instances.find(({ server, pid }) => server === "by-stdio" && pid !== null);
      process.kill(child.pid, "SIGKILL");
      ended = session;
    });
    await ended.close();
    return longestMs;
  });
}

/** One message of nearly 4 MiB, in the forms that are dear to read. */
async function largeBodies(front, server) {
  const forms = {
    "a string": (message) => JSON.stringify({ ...message, x: "x".repeat(3.9 * MIB) }),
    "printed pretty": (message) =>
      JSON.stringify({ ...message, x: Array(400_000).fill(1) }, null, 2),
    "line ends alone": (message) =>
      JSON.stringify(message).replace(/}$/, `${"\n".repeat(3.9 * MIB)}}`),
    "small arrays": (message) =>
      JSON.stringify(message).replace(/}$/, `,"x":[${"[],".repeat(1.3 * MIB)}0]}`),
  };
  for (const [name, form] of Object.entries(forms)) {
    await pauseRow(`${front} over ${server.slice(3)}, a call of 4 MiB, ${name}`, async () => {
      const session = await open(front, server);
      const body = form(call("echo", { message: "hello" }));
      const { longestMs } = await costOf(() => session.post(body, 1));
      await session.close();
      return longestMs;
    });
  }
}

try {
  ({
    key: { secret: key },
  } = await daemon.api("POST", "/api/users", { user: "alice" }));
  for (const front of ["sse", "mcp"]) {
    for (const server of Object.keys(SERVERS)) {
      for (const name of Object.keys(KINDS)) await kindRow(front, server, name);
      await largeBodies(front, server);
    }
    await openCalls(front);
  }
} finally {
  await daemon.stop();
  agent.destroy();
  removeFolder(folder);
}
const text = table();
console.log(text);
process.exit(text.includes("**missed**") ? 1 : 0);
