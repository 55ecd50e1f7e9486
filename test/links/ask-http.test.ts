import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { askHttp } from "../../src/links/ask-http.ts";
import { HttpClient } from "../../src/links/http1/client.ts";
import { wholeText } from "../../src/mcp/long-text.ts";
import { serve } from "../helpers/serve.ts";
import { targetAt } from "../helpers/target.ts";
import { until } from "../helpers/until.ts";

interface Got {
  req: IncomingMessage;
  message: { id?: unknown; method?: string };
  res: ServerResponse;
}

/** Asks a server that answers as it is told to. */
async function rig(t: TestContext, answer: (got: Got) => void) {
  const served = await serve(t, (req, res) => {
    void text(req).then((body) =>
      answer({ req, res, message: JSON.parse(body) as Got["message"] }),
    );
  });
  const url = new URL("/mcp", served.url);
  const client = new HttpClient(url, false);
  t.after(() => client.close());
  const target = targetAt(url, { headers: { "x-token": "secret" } });
  return async (method: string, more: string[] = []) =>
    wholeText(await askHttp(client, target, { method, params: "{}", headers: more }));
}

const JSON_TYPE = { "content-type": "application/json" };

test("a server is asked with the headers of its definition and of the question, and its answer is told whole", async (t) => {
  let got: unknown;
  const ask = await rig(t, ({ req, message, res }) => {
    got = [req.method, message.method, req.headers["x-token"], req.headers["mcp-method"]];
    res.writeHead(200, JSON_TYPE);
    res.end(JSON.stringify({ jsonrpc: "2.0", id: message.id, result: { tools: [] } }));
  });
  const answer = await ask("tools/list", ["mcp-method", "tools/list"]);
  assert.match(answer, /"result":\{"tools":\[\]\}/);
  assert.deepEqual(got, ["POST", "tools/list", "secret", "tools/list"]);
});

test("the answer may come on a stream, behind what is none, and nothing more is read of that", async (t) => {
  let isClosed = false;
  const ask = await rig(t, ({ message, res }) => {
    res.once("close", () => (isClosed = true));
    res.writeHead(200, { "content-type": "text/event-stream" });
    const event = (body: object) => res.write(`data: ${JSON.stringify(body)}\n\n`);
    event({ jsonrpc: "2.0", method: "notifications/message", params: {} });
    event({ jsonrpc: "2.0", id: message.id, method: "ping" });
    event({ jsonrpc: "2.0", id: message.id, result: { n: 1 } });
  });
  assert.match(await ask("tools/list"), /"result":\{"n":1\}/);
  await until(() => isClosed, "the stream is closed");
});

test("a refusal, an end without an answer and a server that is gone are no answers", async (t) => {
  const ask = await rig(t, ({ message, res }) => {
    if (message.method === "refused") res.writeHead(500).end();
    else if (message.method === "empty") res.writeHead(200, JSON_TYPE).end();
    else res.destroy();
  });
  await assert.rejects(ask("refused"), { code: "UPSTREAM_INVALID" });
  await assert.rejects(ask("empty"), { code: "UPSTREAM_INVALID" });
  await assert.rejects(ask("gone"), { code: "UPSTREAM_RESET" });
});
