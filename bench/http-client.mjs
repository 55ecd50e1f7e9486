// Our HTTP client in turns with undici's dispatcher, the one in this Node: what a POST and its answer cost
// this process.
//   node bench/http-client.mjs [ROUNDS] [CALLS]     this row alone
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { HttpClient } from "../src/links/http1/client.ts";
import { median, shuffled, table, tell } from "./report.mjs";

const SERVER = fileURLToPath(new URL("./echo-http.mjs", import.meta.url));
const AT_ONCE = 32;
const HEADERS = ["content-type", "application/json", "accept", "application/json"];
const BODY = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}');
/** Of what a library would have to give. */
const WORTH = 0.1;

function ours(origin) {
  const client = new HttpClient(origin, false);
  return (done) => {
    let text = "";
    client.request(
      { method: "POST", path: "/mcp", headers: HEADERS, body: BODY },
      {
        head: () => undefined,
        data: (chunk) => (text += chunk.latin1Slice()),
        end: () => done(text),
        fail: (error) => done(String(error)),
        broke: (error) => done(String(error)),
      },
    );
  };
}

async function undicis(origin) {
  // Node makes it at the first use of `fetch`.
  await fetch(new URL("/stats", origin)).then((answer) => answer.text());
  const dispatcher = globalThis[Symbol.for("undici.globalDispatcher.1")];
  const request = { origin: origin.origin, path: "/mcp", method: "POST", headers: HEADERS };
  return (done) => {
    let text = "";
    const handler = {
      onConnect: () => undefined,
      onHeaders: () => true,
      onData: (chunk) => {
        text += chunk.latin1Slice();
        return true;
      },
      onComplete: () => done(text),
      onError: (error) => done(String(error)),
    };
    dispatcher.dispatch({ ...request, body: BODY }, handler);
  };
}

/** CPU of this process in µs for each of so many requests. */
async function cost(send, calls) {
  const begun = process.cpuUsage();
  let [started, wrong] = [0, 0];
  await new Promise((resolve) => {
    let finished = 0;
    const next = () => {
      if (started++ >= calls) return;
      send((text) => {
        if (!text.startsWith('{"jsonrpc"')) wrong += 1;
        if (++finished === calls) resolve();
        else next();
      });
    };
    for (let i = 0; i < AT_ONCE; i++) next();
  });
  if (wrong > 0) throw new Error(`${wrong} requests were not answered right`);
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / calls;
}

export async function httpClientRow(rounds, calls) {
  const child = spawn(process.execPath, [SERVER, "--port", "0"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  try {
    const [line] = await once(createInterface({ input: child.stderr }), "line");
    const origin = new URL(`http://127.0.0.1:${/port=(\d+)/.exec(line)[1]}`);
    const sends = { ours: ours(origin), undici: await undicis(origin) };
    for (const send of Object.values(sends)) await cost(send, calls);
    const costs = { ours: [], undici: [] };
    for (let round = 0; round < rounds; round++)
      for (const name of shuffled(Object.keys(sends)))
        costs[name].push(await cost(sends[name], calls));
    const ratio = median(costs.ours.map((us, i) => us / costs.undici[i]));
    const [own, other] = [costs.ours, costs.undici].map((of) => `${Math.round(median(of))} µs`);
    tell(
      `our HTTP client: CPU per request ÷ that of undici ${process.versions.undici}`,
      `${ratio.toFixed(2)}× (${own} and ${other})`,
      `≤ ${1 - WORTH}×`,
      ratio <= 1 - WORTH,
    );
  } finally {
    child.kill("SIGKILL");
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [rounds = 7, calls = 10_000] = process.argv.slice(2).map(Number);
  await httpClientRow(rounds, calls);
  console.log(table());
  process.exit();
}
