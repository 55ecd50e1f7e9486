// Clients that read all that their servers write: one for each user, whom it is told of by a message.
// A process of its own, so that the clients whose calls are timed do not wait for them.
import { once } from "node:events";
import http from "node:http";
import { initialize } from "./clients.mjs";

const agent = new http.Agent({ keepAlive: true });

function ask({ url, secret }, method, path, headers, message) {
  const body = message && JSON.stringify({ jsonrpc: "2.0", ...message });
  const all = {
    authorization: `Bearer ${secret}`,
    accept: "application/json, text/event-stream",
    ...(body && { "content-type": "application/json" }),
    ...headers,
  };
  return new Promise((resolve, reject) => {
    const options = { method, headers: all, agent };
    const req = http.request(new URL(path, url), options, (res) =>
      res.statusCode < 300
        ? resolve(res)
        : reject(new Error(`${method} ${path}: ${res.statusCode}`)),
    );
    req.on("error", reject).end(body);
  });
}

const INITIALIZED = { method: "notifications/initialized" };

async function readSse(user) {
  const stream = await ask(user, "GET", `${user.path}/sse`);
  const endpoint = await new Promise((resolve) => {
    let text = "";
    stream.on("data", (chunk) => {
      if (text === undefined) return;
      text += chunk.toString("latin1");
      const [, found] = /^data: (.*)\n/m.exec(text) ?? [];
      if (found === undefined) return;
      text = undefined;
      resolve(found);
    });
  });
  for (const message of [initialize, INITIALIZED])
    (await ask(user, "POST", endpoint, {}, message)).resume();
}

async function readHttp(user) {
  const path = `${user.path}/mcp`;
  const opened = await ask(user, "POST", path, {}, initialize);
  opened.resume();
  const session = { "mcp-session-id": opened.headers["mcp-session-id"] };
  (await ask(user, "POST", path, session, INITIALIZED)).resume();
  (await ask(user, "GET", path, session)).resume();
}

process.once("disconnect", () => process.exit(0));
const [{ front, users }] = await once(process, "message");
await Promise.all(users.map(front === "sse" ? readSse : readHttp));
process.send("open");
