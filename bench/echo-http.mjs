#!/usr/bin/env node
// Minimal MCP echo child on raw node:http: legacy HTTP+SSE and Streamable HTTP.
// Only the last path segment is looked at, so it may sit behind any path prefix.
//   GET  …/sse                      -> event stream, first event `endpoint`
//   POST …/message?sessionId=ID     -> 202, the answer goes out on the stream
//   POST …/mcp                      -> Streamable HTTP (Mcp-Session-Id); GET stream; DELETE
//   GET  …/stats                    -> {"openSse":n,"sessions":n,"floodBytes":n,"posts":n,"sleeping":n}
//   GET  …/flood?mb=N               -> N MiB of SSE data, honouring backpressure
// Options: --port N (or $PORT) --host H --endpoint relative|absolute --answer json|sse
import http from "node:http";
import { randomUUID } from "node:crypto";
import { handle, parseArgs, sleeping } from "./echo-core.mjs";

const opt = parseArgs({
  port: process.env.PORT ?? "0",
  host: "127.0.0.1",
  endpoint: "relative",
  answer: "json",
});
const sse = new Map(); // sessionId -> ServerResponse
const mcp = new Map(); // Mcp-Session-Id -> {stream}
let floodBytes = 0,
  posts = 0;
const SSE_HEAD = { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" };
const event = (s) => `event: message\ndata: ${s}\n\n`;
const fail = (res, code, text) =>
  res
    .writeHead(code, { "content-type": "text/plain", "content-length": Buffer.byteLength(text) })
    .end(text);

function body(req, done) {
  let first = null,
    rest = null;
  req.on("data", (c) => {
    if (first === null) first = c;
    else (rest ??= [first]).push(c);
  });
  req.on("end", () => done(rest ? Buffer.concat(rest) : (first ?? Buffer.alloc(0))));
}

const server = http.createServer((req, res) => {
  const q = req.url.indexOf("?");
  const path = q < 0 ? req.url : req.url.slice(0, q);
  const leaf = path.slice(path.lastIndexOf("/") + 1);
  if (leaf === "message" && req.method === "POST") {
    posts++;
    const id = /[?&]sessionId=([^&]*)/.exec(req.url)?.[1];
    const out = sse.get(id);
    if (!out) {
      req.resume();
      return fail(res, 404, "no such session");
    }
    return body(req, (b) => {
      let msg;
      try {
        msg = JSON.parse(b);
      } catch {
        return fail(res, 400, "bad JSON");
      }
      res.writeHead(202, { "content-type": "text/plain", "content-length": 8 }).end("Accepted");
      for (const one of [msg].flat()) handle(one, (s) => out.write(event(s)));
    });
  }
  if (leaf === "sse" && req.method === "GET") {
    const id = randomUUID();
    sse.set(id, res);
    res.on("close", () => sse.delete(id));
    res.writeHead(200, SSE_HEAD);
    const target = `message?sessionId=${id}`;
    return void res.write(
      `event: endpoint\ndata: ${opt.endpoint === "absolute" ? `/${target}` : target}\n\n`,
    );
  }
  if (leaf === "mcp") {
    const sid = req.headers["mcp-session-id"];
    if (req.method === "POST") {
      posts++;
      return body(req, (b) => {
        let msg;
        try {
          msg = JSON.parse(b);
        } catch {
          return fail(res, 400, "bad JSON");
        }
        const head = {};
        if (msg.method === "initialize") {
          const id = (head["mcp-session-id"] = randomUUID());
          mcp.set(id, {});
        } else if (!mcp.has(sid)) return fail(res, 404, "no such session");
        if (Array.isArray(msg)) {
          const answers = [];
          for (const one of msg) handle(one, (s) => answers.push(s));
          if (answers.length === 0) return void res.writeHead(202, { "content-length": 0 }).end();
          return void res
            .writeHead(200, { "content-type": "application/json" })
            .end(`[${answers.join(",")}]`);
        }
        if (msg.id === undefined || msg.method === undefined)
          return void res.writeHead(202, { "content-length": 0 }).end();
        if (opt.answer === "json" && msg.params?.name !== "progress") {
          return handle(msg, (s) =>
            res
              .writeHead(200, {
                ...head,
                "content-type": "application/json",
                "content-length": Buffer.byteLength(s),
              })
              .end(s),
          );
        }
        res.writeHead(200, { ...head, ...SSE_HEAD });
        handle(msg, (s) =>
          s.startsWith('{"jsonrpc":"2.0","method"') ? res.write(event(s)) : res.end(event(s)),
        );
      });
    }
    if (sid === undefined) return fail(res, 400, "no session id");
    if (!mcp.has(sid)) return fail(res, 404, "no such session");
    if (req.method === "DELETE") {
      mcp.delete(sid);
      return void res.writeHead(200, { "content-length": 0 }).end();
    }
    const s = mcp.get(sid);
    s.stream = res;
    res.on("close", () => {
      if (s.stream === res) s.stream = undefined;
    });
    res.writeHead(200, SSE_HEAD);
    res.flushHeaders();
    return;
  }
  if (leaf === "stats") {
    let streams = 0;
    for (const s of mcp.values()) if (s.stream) streams++;
    const s = JSON.stringify({
      openSse: sse.size,
      mcpSessions: mcp.size,
      mcpStreams: streams,
      floodBytes,
      posts,
      sleeping,
      rssKiB: process.memoryUsage.rss() >> 10,
    });
    return void res
      .writeHead(200, { "content-type": "application/json", "content-length": s.length })
      .end(s);
  }
  if (leaf === "flood") {
    let left = Number(/[?&]mb=(\d+)/.exec(req.url)?.[1] ?? 64) * 16;
    const chunk = Buffer.from(event("y".repeat(65500)));
    floodBytes = 0;
    res.writeHead(200, SSE_HEAD);
    const pump = () => {
      while (left > 0) {
        left--;
        floodBytes += chunk.length;
        if (!res.write(chunk)) return void res.once("drain", pump);
      }
      res.end();
    };
    return pump();
  }
  fail(res, 404, "not found");
});
server.keepAliveTimeout = 65_000;
server.requestTimeout = 0;
server.listen(Number(opt.port), opt.host, 16384, () =>
  process.stderr.write(`ready port=${server.address().port} pid=${process.pid}\n`),
);
