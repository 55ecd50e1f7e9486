// A tool over REST (`POST /tools`) in turns with the same tool over MCP, through the same gateway to the
// same child; and with mcpo over a child of its own, where its program is named.
//   node bench/tools.mjs [ROUNDS] [CALLS] [MCPO]
import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeFolder, removeFolder, startDaemon } from "./daemon.mjs";
import { median } from "./report.mjs";

const AT_ONCE = 16;
const WARM_CALLS = 20_000;
const MCPO_PORT = 18_060;
const CHILD = fileURLToPath(new URL("./echo-stdio.mjs", import.meta.url));
const JSON_BODY = { "content-type": "application/json" };
const OF_MCP = { ...JSON_BODY, accept: "application/json, text/event-stream" };

function post(agent, url, headers, body) {
  return new Promise((resolve, reject) => {
    const req = http.request(url, { method: "POST", agent, headers }, (res) => {
      let text = "";
      res.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      res.on("end", () => resolve({ status: res.statusCode, headers: res.headers, text }));
    });
    req.on("error", reject);
    req.end(body);
  });
}

const rpc = (id, method, params) => JSON.stringify({ jsonrpc: "2.0", id, method, params });

/** A client for each of the ways: resolves with a function that makes one call and says whether it was answered right. */
function overRest(url, headers, bodyOf) {
  return async (agent) => async (n) => {
    const { status, text } = await post(agent, url, { ...JSON_BODY, ...headers }, bodyOf(`m${n}`));
    return status === 200 && text.includes(`Echo: m${n}`);
  };
}

function overMcp(url, headers) {
  return async (agent) => {
    const hello = {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "b", version: "1" },
    };
    const begun = await post(agent, url, { ...OF_MCP, ...headers }, rpc(0, "initialize", hello));
    const own = { ...OF_MCP, ...headers, "mcp-session-id": begun.headers["mcp-session-id"] };
    await post(agent, url, own, '{"jsonrpc":"2.0","method":"notifications/initialized"}');
    return async (n) => {
      const params = { name: "echo", arguments: { message: `m${n}` } };
      const { status, text } = await post(agent, url, own, rpc(n + 1, "tools/call", params));
      return status === 200 && text.includes(`Echo: m${n}`);
    };
  };
}

/** So many calls, sixteen at once: calls a second, the median in ms, and how many went wrong. */
async function run(open, calls) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const clients = await Promise.all(Array.from({ length: AT_ONCE }, () => open(agent)));
  const took = [];
  let [next, wrong] = [0, 0];
  const began = performance.now();
  await Promise.all(
    clients.map(async (call) => {
      while (next < calls) {
        const at = performance.now();
        if (!(await call(next++))) wrong += 1;
        took.push(performance.now() - at);
      }
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  agent.destroy();
  return { perSecond: calls / seconds, p50: median(took), wrong };
}

async function startMcpo(program) {
  const args = ["--host", "127.0.0.1", "--port", String(MCPO_PORT), "--", process.execPath, CHILD];
  const child = spawn(program, args, { stdio: "ignore" });
  const ended = once(child, "exit");
  const url = `http://127.0.0.1:${MCPO_PORT}/echo`;
  const isUp = () => post(undefined, url, JSON_BODY, '{"message":"up"}').catch(() => undefined);
  for (let tries = 0; (await isUp())?.status !== 200; tries += 1) {
    if (child.exitCode !== null || tries === 300) throw new Error(`${program} does not serve`);
    await sleep(100);
  }
  const open = async (agent) => async (n) => {
    const { status, text } = await post(
      agent,
      url,
      JSON_BODY,
      JSON.stringify({ message: `m${n}` }),
    );
    return status === 200 && text.includes(`Echo: m${n}`);
  };
  return { open, stop: () => (child.kill("SIGKILL"), ended) };
}

/** Rows for the table of the bench. */
export async function toolRows(rounds, calls, mcpoProgram) {
  const folder = makeFolder({ echo: { command: "node", args: [CHILD] } });
  const daemon = await startDaemon(folder);
  let mcpo;
  try {
    if (mcpoProgram !== undefined) mcpo = await startMcpo(mcpoProgram);
    const { key } = await daemon.api("POST", "/api/users", { user: "alice" });
    const headers = { authorization: `Bearer ${key.secret}` };
    const rest = overRest(`${folder.url}/tools`, headers, (message) =>
      JSON.stringify({ method: "echo", args: { message } }),
    );
    const mcp = overMcp(`${folder.url}/u/alice/mcp`, headers);
    for (const open of [mcp, rest]) await run(open, WARM_CALLS);
    const results = { mcp: [], rest: [], mcpo: [] };
    for (let round = 0; round < rounds; round += 1) {
      results.mcp.push(await run(mcp, calls));
      results.rest.push(await run(rest, calls));
      if (mcpo !== undefined) results.mcpo.push(await run(mcpo.open, Math.ceil(calls / 10)));
    }
    return rowsOf(results);
  } finally {
    await mcpo?.stop();
    await daemon.stop();
    removeFolder(folder);
  }
}

function rowsOf({ mcp, rest, mcpo }) {
  const wrong = [...mcp, ...rest, ...mcpo].reduce((sum, one) => sum + one.wrong, 0);
  if (wrong > 0) throw new Error(`${wrong} calls were not answered right`);
  const ratio = median(rest.map(({ perSecond }, i) => perSecond / mcp[i].perSecond));
  const p50 = (of) => median(of.map((one) => one.p50)).toFixed(2);
  const persec = (of) => Math.round(median(of.map((one) => one.perSecond)));
  const rows = [
    [
      "`POST /tools`, 16 at once: calls/s of the same over `/mcp`",
      `${ratio.toFixed(2)} (${persec(rest)} and ${persec(mcp)}; p50 ${p50(rest)} and ${p50(mcp)} ms)`,
      "–",
      undefined,
    ],
  ];
  if (mcpo.length > 0) {
    const times = median(rest.map(({ perSecond }, i) => perSecond / mcpo[i].perSecond));
    const figure = `${times.toFixed(1)}× (mcpo ${persec(mcpo)}; p50 ${p50(mcpo)} ms)`;
    rows.push(["`POST /tools`: calls/s, times those of mcpo", figure, "–", undefined]);
  }
  return rows;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [rounds = "5", calls = "10000", program] = process.argv.slice(2);
  for (const [what, figure] of await toolRows(Number(rounds), Number(calls), program))
    console.log(`${what}: ${figure}`);
}
