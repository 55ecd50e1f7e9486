// A bare relay on node:http, as careful with its time as that lets it be: no keys, sessions or limits.
//   node bench/pipe.mjs --upstream PORT --port PORT
import http from "node:http";
import { parseArgs } from "./echo-core.mjs";

const { upstream, port } = parseArgs({ upstream: "0", port: "0" });
const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity, scheduling: "lifo" });
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding"]);

function headersOf(rawHeaders) {
  const headers = [];
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (!HOP_BY_HOP.has(rawHeaders[i].toLowerCase()))
      headers.push(rawHeaders[i], rawHeaders[i + 1]);
  return headers;
}

/** With its last bytes where the length is known, so that a short message is one write. */
function pass(from, to) {
  let left = Number(from.headers["content-length"] ?? Infinity);
  from.on("data", (chunk) => {
    left -= chunk.length;
    if (left === 0) to.end(chunk);
    else if (!to.write(chunk)) {
      from.pause();
      to.once("drain", () => from.resume());
    }
  });
  from.on("end", () => to.writableEnded || to.end());
}

const server = http.createServer((req, res) => {
  const { method, url: path } = req;
  const options = { host: "127.0.0.1", port: Number(upstream), agent, method, path };
  const up = http.request({ ...options, headers: headersOf(req.rawHeaders) });
  up.on("response", (answer) => {
    res.writeHead(answer.statusCode, headersOf(answer.rawHeaders));
    if (answer.headers["content-length"] === undefined) res.flushHeaders();
    pass(answer, res);
    answer.on("error", () => res.destroy());
  });
  up.on("error", () => res.destroy());
  res.on("close", () => res.writableFinished || up.destroy());
  if (req.headers["content-length"] === undefined) up.end();
  else pass(req, up);
});
server.keepAliveTimeout = 65_000;
server.requestTimeout = 0;
server.listen(Number(port), "127.0.0.1", 16_384, () =>
  process.stderr.write(`ready port=${server.address().port} pid=${process.pid}\n`),
);
