#!/usr/bin/env node
// mcpload — raw MCP load tool: no SDK, no dependencies, Node >= 18.
//
//   node mcpload.mjs --url http://127.0.0.1:8080/u/alice/sse --transport sse \
//        --sessions 16 --calls 20000 --inflight 32 --tool echo --args '{"message":"hi"}' --header 'authorization: Bearer x'
//
// Modes
//   load  (default) open --sessions, do --warmup then --calls tool calls with --inflight in flight altogether
//   idle  open --sessions event streams (each initialized), hold --hold seconds, report memory of --proc
//   churn open + initialize + drop the socket, --cycles times, --inflight at once
// Options
//   --url U           endpoint; `{i}` becomes the session number modulo --users (1 user: 0)
//   --transport T     sse (legacy HTTP+SSE) | http (Streamable HTTP)
//   --users N         how many users `{i}` runs over                      [1]
//   --sessions N      MCP sessions                                        [1]
//   --calls M / --warmup W   measured / unmeasured calls            [1000/200]
//   --inflight K      calls in flight over all sessions                   [1]
//   --rate R          open-loop: R calls/s started on a schedule (latency then counts from the due time)
//   --tool NAME --args JSON --expect TEXT (each answer must contain it) --size BYTES (message padding)
//        `{s}` in --args and --expect becomes a token of the session: sessions use the same request ids, as SDK
//        clients do, so an answer delivered to the wrong session is caught (default: echo "hello {s}", expect "hello {s}");
//        `{c}` becomes the number of the call within its session, so that an answer to another call is caught too
//   --header 'k: v'   repeatable, sent with every request
//   --keys A,B,…      the users' keys in the order of their numbers, each sent as a bearer token by its sessions
//   --protocol V      protocolVersion offered
//   --client net|http raw socket client (default, ~3x cheaper) or node:http with a keep-alive Agent
//   --proc NAME=PID   repeatable: CPU and RSS of that process; NAME=+PID takes its descendants too
//   --get-stream      http transport: also open the GET stream per session (idle mode always does)
//   --no-init         idle/churn: do not send initialize
//   --fill N          idle: each session calls its tool so many times before it has nothing to do
//   --delete          churn over http: end sessions with DELETE
//   --open-concurrency N  sessions opened at once                        [16]
//   --timeout MS      per call                                        [30000]
// Prints one JSON object. Exit status 0 if there were no errors, 1 otherwise.
import net from "node:net";
import http from "node:http";
import fs from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";

const o = {
  mode: "load",
  transport: "sse",
  users: 1,
  sessions: 1,
  calls: 1000,
  warmup: 200,
  inflight: 1,
  rate: 0,
  tool: "echo",
  args: "",
  expect: "",
  size: 0,
  protocol: "",
  client: "net",
  hold: 5,
  fill: 0,
  cycles: 1000,
  timeout: 30000,
  "open-concurrency": 16,
  keys: "",
  header: [],
  proc: [],
};
const argv = process.argv.slice(2);
for (let i = 0; i < argv.length; i++) {
  const [k, inline] = argv[i].replace(/^--/, "").split(/=(.*)/s);
  const v =
    inline ?? (argv[i + 1] !== undefined && !argv[i + 1].startsWith("--") ? argv[++i] : "true");
  if (Array.isArray(o[k])) o[k].push(v);
  else o[k] = typeof o[k] === "number" ? Number(v) : v;
}
if (!o.url) {
  console.error(
    fs
      .readFileSync(new URL(import.meta.url), "utf8")
      .split("\n")
      .filter((l) => l.startsWith("//"))
      .join("\n"),
  );
  process.exit(2);
}
const protocol = o.protocol || (o.transport === "sse" ? "2024-11-05" : "2025-03-26");
const argText =
  o.args || JSON.stringify({ message: `hello {s}${o.size ? " " + "m".repeat(o.size) : ""}` });
const expectText = o.expect || (o.tool === "echo" && !o.args ? "hello {s}" : "");
const keys = o.keys.split(",").filter(Boolean);
const extra = o.header.map((h) => [
  h.slice(0, h.indexOf(":")).trim().toLowerCase(),
  h.slice(h.indexOf(":") + 1).trim(),
]);
const stats = { connections: 0, staleRetries: 0, strays: 0 }; // strays: answers with an id nobody on that session waits for

// ---------------------------------------------------------------- HTTP/1.1 client
// exchange(url, method, headers, body, h): h.head(status, headers), h.data(Buffer), h.end(), h.fail(Error); returns {destroy}
const pools = new Map(); // host:port -> idle Conn[]

class Conn {
  constructor(url) {
    stats.connections++;
    this.key = url.host;
    this.h = null;
    this.buf = null;
    this.state = 0;
    this.left = 0;
    this.reused = false;
    this.gotBytes = false;
    this.dead = false;
    this.s = net.connect({
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: Number(url.port || 80),
      noDelay: true,
    });
    this.s.on("data", (d) => {
      try {
        this.feed(d);
      } catch (e) {
        this.die(e);
      }
    });
    this.s.on("error", (e) => this.die(e));
    this.s.on("close", () =>
      this.state === 5 ? this.finish() : this.die(new Error("socket closed")),
    );
  }
  send(text, h) {
    this.h = h;
    this.state = 0;
    this.gotBytes = false;
    this.msg = text;
    this.s.write(text);
  }
  die(e) {
    if (this.dead) return;
    this.dead = true;
    this.s.destroy();
    const p = pools.get(this.key),
      at = p ? p.indexOf(this) : -1;
    if (at >= 0) p.splice(at, 1);
    const h = this.h;
    this.h = null;
    if (!h) return;
    e.stale = this.reused && !this.gotBytes;
    h.fail(e);
  }
  finish() {
    const h = this.h;
    this.h = null;
    if (this.close || this.state === 5) {
      this.dead = true;
      this.s.destroy();
    } else {
      this.reused = true;
      this.state = 0;
      let p = pools.get(this.key);
      if (!p) pools.set(this.key, (p = []));
      p.push(this);
    }
    h?.end();
  }
  // states: 0 head, 1 fixed body, 2 chunk size, 3 chunk data, 4 trailers, 5 until close
  feed(d) {
    this.gotBytes = true;
    if (this.buf) {
      d = Buffer.concat([this.buf, d]);
      this.buf = null;
    }
    for (;;) {
      if (this.state === 0) {
        if (!this.h) throw new Error("bytes outside an exchange");
        const end = d.indexOf("\r\n\r\n");
        if (end < 0) {
          this.buf = d;
          return;
        }
        const lines = d.latin1Slice(0, end).split("\r\n");
        d = d.subarray(end + 4);
        const status = Number(lines[0].slice(9, 12));
        if (!lines[0].startsWith("HTTP/1.") || !(status >= 100))
          throw new Error(`bad status line ${lines[0]}`);
        const headers = {};
        for (let i = 1; i < lines.length; i++) {
          const c = lines[i].indexOf(":");
          headers[lines[i].slice(0, c).toLowerCase()] = lines[i].slice(c + 1).trim();
        }
        if (status < 200) {
          if (!d.length) return;
          continue;
        }
        this.close = /close/i.test(headers.connection ?? "") || lines[0].startsWith("HTTP/1.0");
        const h = this.h;
        if (/chunked/i.test(headers["transfer-encoding"] ?? "")) this.state = 2;
        else if (status === 204 || status === 304) {
          this.state = 1;
          this.left = 0;
        } else if (headers["content-length"] !== undefined) {
          this.state = 1;
          this.left = Number(headers["content-length"]);
        } else this.state = 5;
        h.head(status, headers);
        if (this.dead) return;
        if (this.state === 1 && this.left === 0) {
          this.state = 0;
          return this.finish();
        }
      }
      if (!d.length) return;
      if (this.state === 5) {
        this.h.data(d);
        return;
      }
      if (this.state === 1 || this.state === 3) {
        const part = d.length > this.left ? d.subarray(0, this.left) : d;
        this.left -= part.length;
        d = d.subarray(part.length);
        if (this.state === 1) {
          this.h.data(part);
          if (this.dead) return;
          if (this.left === 0) {
            this.state = 0;
            if (d.length) throw new Error("extra bytes after body");
            return this.finish();
          }
          return;
        }
        const body = this.left < 2 ? part.subarray(0, part.length - (2 - this.left)) : part; // the last two bytes are CRLF
        if (body.length) this.h.data(body);
        if (this.dead) return;
        if (this.left === 0) this.state = 2;
        continue;
      }
      const nl = d.indexOf("\r\n");
      if (nl < 0) {
        this.buf = d;
        return;
      }
      if (this.state === 2) {
        const n = parseInt(d.latin1Slice(0, nl), 16);
        if (!(n >= 0)) throw new Error("bad chunk size");
        d = d.subarray(nl + 2);
        if (n === 0) this.state = 4;
        else {
          this.left = n + 2;
          this.state = 3;
        }
      } else {
        d = d.subarray(nl + 2);
        if (nl === 0) {
          this.state = 0;
          if (d.length) throw new Error("extra bytes after chunks");
          return this.finish();
        }
      }
    }
  }
}

const agent = new http.Agent({
  keepAlive: true,
  maxSockets: Infinity,
  maxFreeSockets: 1024,
  scheduling: "lifo",
});
function exchange(url, method, headers, body, h) {
  if (o.client === "http") {
    const list = [
      ...headers,
      ...extra,
      ...(body === null ? [] : [["content-length", Buffer.byteLength(body)]]),
    ];
    const r = http.request({
      host: url.hostname,
      port: url.port || 80,
      path: url.pathname + url.search,
      method,
      agent,
      headers: Object.fromEntries(list),
    });
    r.on("response", (res) => {
      h.head(res.statusCode, res.headers);
      res.on("data", h.data);
      res.on("end", h.end);
      res.on("error", h.fail);
    });
    r.on("error", h.fail);
    r.end(body ?? undefined);
    return {
      destroy: () => {
        r.on("error", () => {});
        r.destroy();
      },
    };
  }
  let text = `${method} ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\n`;
  for (const [k, v] of headers) text += `${k}: ${v}\r\n`;
  for (const [k, v] of extra) text += `${k}: ${v}\r\n`;
  text += body === null ? "\r\n" : `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  const handle = {
    conn: null,
    destroy() {
      const c = this.conn;
      c.h = null;
      c.die(new Error("dropped"));
    },
  };
  const go = (fresh) => {
    const c = (!fresh && pools.get(url.host)?.pop()) || new Conn(url);
    handle.conn = c;
    c.send(
      text,
      fresh
        ? h
        : {
            ...h,
            fail: (e) => {
              if (e.stale) {
                stats.staleRetries++;
                go(true);
              } else h.fail(e);
            },
          },
    );
  };
  go(false);
  return handle;
}

// ---------------------------------------------------------------- SSE
class Sse {
  constructor(on) {
    this.on = on;
    this.dec = new StringDecoder("utf8");
    this.buf = "";
    this.event = "";
    this.dat = null;
  }
  push(chunk) {
    this.buf += this.dec.write(chunk);
    let from = 0;
    for (let nl; (nl = this.buf.indexOf("\n", from)) !== -1; from = nl + 1) {
      const end = nl > from && this.buf.charCodeAt(nl - 1) === 13 ? nl - 1 : nl;
      if (end === from) {
        if (this.dat !== null) this.on(this.event || "message", this.dat);
        this.event = "";
        this.dat = null;
        continue;
      }
      const line = this.buf.slice(from, end);
      const val = (n) => (line.charCodeAt(n) === 32 ? line.slice(n + 1) : line.slice(n));
      if (line.startsWith("data:"))
        this.dat = this.dat === null ? val(5) : this.dat + "\n" + val(5);
      else if (line.startsWith("event:")) this.event = val(6);
    }
    this.buf = from ? this.buf.slice(from) : this.buf;
  }
}

// ---------------------------------------------------------------- MCP sessions
const JSON_POST = ["content-type", "application/json"];
class Session {
  constructor(i) {
    this.url = new URL(o.url.replaceAll("{i}", String(i % o.users)));
    const token = `s${String(i).padStart(5, "0")}.`;
    this.argText = argText.replaceAll("{s}", token);
    this.args = JSON.parse(this.argText);
    this.expect = expectText.replaceAll("{s}", token);
    this.calls = 0;
    this.waiting = new Map();
    this.nextId = 1;
    this.own = keys.length ? [["authorization", `Bearer ${keys[i % o.users]}`]] : [];
    this.headers = [...this.own];
    this.streams = [];
    this.closed = false;
  }
  settle(msg) {
    if (msg.id === undefined || msg.method !== undefined) return;
    const w = this.waiting.get(msg.id);
    if (!w) {
      stats.strays++;
      return;
    }
    this.waiting.delete(msg.id);
    w(null, msg);
  }
  failAll(e) {
    const all = [...this.waiting.values()];
    this.waiting.clear();
    for (const w of all) w(e);
  }
  stream(method, onOpen, onFail) {
    let text = "",
      status = 0;
    const sse = new Sse((event, data) =>
      event === "endpoint" ? onOpen(data) : event === "message" && this.settle(JSON.parse(data)),
    );
    const x = exchange(this.url, method, [["accept", "text/event-stream"], ...this.headers], null, {
      head: (s) => {
        status = s;
        if (s === 200 && o.transport === "http") onOpen();
      },
      data: (d) => (status === 200 ? sse.push(d) : (text += d)),
      end: () => {
        const e = new Error(`stream ended (HTTP ${status}) ${text.slice(0, 120)}`);
        onFail(e);
        if (!this.closed) this.failAll(e);
      },
      fail: (e) => {
        onFail(e);
        if (!this.closed) this.failAll(e);
      },
    });
    this.streams.push(x);
  }
  open() {
    return new Promise((resolve, reject) => {
      const t0 = performance.now();
      const timer = setTimeout(() => reject(new Error("open timed out")), o.timeout);
      const done = (e) => {
        clearTimeout(timer);
        if (e) return reject(e);
        this.openMs = performance.now() - t0;
        return resolve();
      };
      const init = () =>
        o["no-init"]
          ? done()
          : this.request(
              "initialize",
              {
                protocolVersion: protocol,
                capabilities: {},
                clientInfo: { name: "mcpload", version: "1" },
              },
              (e) => {
                if (e) return done(e);
                if (o.transport === "http") this.headers.push(["mcp-protocol-version", protocol]);
                this.post({ jsonrpc: "2.0", method: "notifications/initialized" }, () => {});
                if (o.transport === "http" && (o["get-stream"] || o.mode === "idle"))
                  this.stream("GET", () => done(), done);
                else done();
              },
            );
      if (o.transport === "sse")
        this.stream(
          "GET",
          (data) => {
            this.post_url = new URL(data, this.url);
            init();
          },
          done,
        );
      else {
        this.post_url = this.url;
        init();
      }
    });
  }
  post(msg, onError) {
    let status = 0,
      text = "",
      sse = null;
    const streamable = o.transport === "http";
    exchange(
      this.post_url,
      "POST",
      streamable
        ? [JSON_POST, ["accept", "application/json, text/event-stream"], ...this.headers]
        : [JSON_POST, ...this.own],
      JSON.stringify(msg),
      {
        head: (s, h) => {
          status = s;
          if (!streamable) return;
          if (msg.method === "initialize" && h["mcp-session-id"])
            this.headers.push(["mcp-session-id", h["mcp-session-id"]]);
          if (s === 200 && (h["content-type"] ?? "").startsWith("text/event-stream"))
            sse = new Sse((ev, data) => ev === "message" && data && this.settle(JSON.parse(data)));
        },
        data: (d) => (sse ? sse.push(d) : (text = text === "" ? d.toString() : text + d)),
        end: () => {
          if (status < 200 || status > 299)
            return onError(new Error(`HTTP ${status} ${text.slice(0, 120)}`));
          if (!streamable) return;
          if (!sse && text) this.settle(JSON.parse(text));
          if (msg.id !== undefined && this.waiting.has(msg.id))
            onError(new Error("response ended without an answer"));
        },
        fail: onError,
      },
    );
  }
  request(method, params, cb) {
    const id = this.nextId++;
    const timer =
      o.mode === "load" && this.bulk
        ? null
        : setTimeout(() => fin(new Error(`${method} timed out`)), o.timeout);
    const fin = (e, msg) => {
      if (timer) clearTimeout(timer);
      this.waiting.delete(id);
      cb(e ?? (msg.error ? new Error(`${method}: ${msg.error.message}`) : null), msg);
    };
    this.waiting.set(id, fin);
    this.post({ jsonrpc: "2.0", id, method, params }, (e) => {
      if (this.waiting.has(id)) fin(e);
    });
  }
  drop() {
    this.closed = true;
    for (const s of this.streams) if (s.conn ? !s.conn.dead : true) s.destroy();
  }
}

// ---------------------------------------------------------------- process accounting
const HZ = 100; // USER_HZ
function kids(pid) {
  const out = [];
  try {
    for (const t of fs.readdirSync(`/proc/${pid}/task`))
      for (const c of fs
        .readFileSync(`/proc/${pid}/task/${t}/children`, "utf8")
        .split(" ")
        .filter(Boolean))
        out.push(Number(c), ...kids(Number(c)));
  } catch {}
  return out;
}
/** What all threads of it have had, in ms: `stat` counts in steps of ten. */
function cpuMs(pid) {
  let ns = 0;
  for (const thread of fs.readdirSync(`/proc/${pid}/task`))
    ns += Number(fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ", 1)[0]);
  return ns / 1e6;
}
function look(spec) {
  const [name, p] = spec.split("=");
  const root = Number(p.replace("+", ""));
  const r = { name, cpu: 0, user: 0, sys: 0, rssKiB: 0, fds: 0 };
  for (const pid of [root, ...(p.startsWith("+") ? kids(root) : [])]) {
    try {
      const f = fs
        .readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      r.cpu += cpuMs(pid);
      r.user += (f[11] * 1000) / HZ;
      r.sys += (f[12] * 1000) / HZ;
      r.rssKiB += Number(
        /VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0,
      );
      r.fds += fs.readdirSync(`/proc/${pid}/fd`).length;
    } catch {}
  }
  return r;
}
const snapshot = () => o.proc.map(look);

// ---------------------------------------------------------------- modes
const r3 = (x) => Math.round(x * 1000) / 1000;
function dist(a) {
  if (!a.length) return null;
  const s = Float64Array.from(a).toSorted();
  const q = (p) => r3(s[Math.min(s.length - 1, Math.ceil(p * s.length) - 1)]);
  return {
    p50: q(0.5),
    p90: q(0.9),
    p95: q(0.95),
    p99: q(0.99),
    p999: q(0.999),
    max: r3(s[s.length - 1]),
    mean: r3(s.reduce((x, y) => x + y, 0) / s.length),
  };
}
let errors = 0;
const samples = new Set();
const err = (e) => {
  errors++;
  if (samples.size < 5) samples.add(e.message);
};

async function openAll(n) {
  const list = Array.from({ length: n }, (_, i) => new Session(i));
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(n, o["open-concurrency"]) }, async () => {
      while (next < n) {
        const s = list[next++];
        try {
          await s.open();
        } catch (e) {
          s.bad = true;
          err(e);
        }
      }
    }),
  );
  return list;
}

function drive(list, total, lat) {
  return new Promise((resolve) => {
    let started = 0,
      finished = 0;
    const wall0 = performance.now();
    let last = wall0;
    const watchdog = setInterval(() => {
      if (performance.now() - last > o.timeout) {
        for (const s of list) s.failAll(new Error("call timed out"));
        last = performance.now();
      }
    }, 1000);
    const finish = () => {
      if (finished === total) {
        clearInterval(watchdog);
        resolve(performance.now() - wall0);
      }
    };
    const isPerCall = argText.includes("{c}");
    const call = (s, t0, then) => {
      const fill = (text) => text.replaceAll("{c}", String(number));
      const number = ++s.calls;
      const args = isPerCall ? JSON.parse(fill(s.argText)) : s.args;
      const expect = isPerCall ? fill(s.expect) : s.expect;
      s.request("tools/call", { name: o.tool, arguments: args }, (e, msg) => {
        const t = (last = performance.now());
        if (e) err(e);
        else if (msg.result?.isError)
          err(new Error(`tool error ${JSON.stringify(msg.result).slice(0, 160)}`));
        else if (expect && !JSON.stringify(msg.result).includes(expect))
          err(new Error("wrong answer (lacks the expected text; delivered to the wrong session?)"));
        else lat?.push(t - t0);
        finished++;
        if (finished === total) finish();
        else then?.();
      });
    };
    if (o.rate > 0) {
      const tick = () => {
        const due = Math.min(total, Math.floor(((performance.now() - wall0) * o.rate) / 1000) + 1);
        while (started < due) {
          call(list[started % list.length], wall0 + (started * 1000) / o.rate);
          started++;
        }
        if (started < total) setTimeout(tick, 1);
      };
      return tick();
    }
    const worker = (w) => {
      let turn = w;
      const next = () => {
        if (started >= total) return;
        started++;
        const s = list[turn % list.length];
        if (o.inflight < list.length) turn += o.inflight;
        call(s, performance.now(), next);
      };
      next();
    };
    for (let w = 0; w < Math.min(o.inflight, total); w++) worker(w);
  });
}

const out = { mode: o.mode, transport: o.transport, url: o.url, sessions: o.sessions };
const wallStart = performance.now();
if (o.mode === "load") {
  const list = await openAll(o.sessions);
  const good = list.filter((s) => !s.bad);
  out.openMs = dist(good.map((s) => s.openMs));
  out.firstSessionMs = good.length ? r3(list[0].openMs ?? -1) : null;
  if (good.length) {
    for (const s of good) s.bulk = true;
    if (o.warmup) await drive(good, o.warmup, null);
    const lat = [],
      a = snapshot(),
      c0 = process.cpuUsage();
    const wall = await drive(good, o.calls, lat);
    const c = process.cpuUsage(c0),
      b = snapshot();
    Object.assign(out, {
      inflight: o.inflight,
      calls: o.calls,
      wallMs: r3(wall),
      callsPerSec: Math.round((o.calls * 1000) / wall),
      latencyMs: dist(lat),
      loaderCpuMsPer10k: r3(((c.user + c.system) / 1000 / o.calls) * 10000),
    });
    out.procs = Object.fromEntries(
      b.map((p, i) => [
        p.name,
        {
          cpuMsPer10k: r3(((p.cpu - a[i].cpu) / o.calls) * 10000),
          userMs: p.user - a[i].user,
          sysMs: p.sys - a[i].sys,
          cores: r3((p.cpu - a[i].cpu) / wall),
          rssBeforeKiB: a[i].rssKiB,
          rssAfterKiB: p.rssKiB,
        },
      ]),
    );
  }
  for (const s of list) s.drop();
} else if (o.mode === "idle") {
  const a = snapshot();
  const list = await openAll(o.sessions);
  const good = list.filter((s) => !s.bad);
  out.openWallMs = r3(performance.now() - wallStart);
  out.openMs = dist(good.map((s) => s.openMs));
  if (o.fill) await drive(good, good.length * o.fill, null);
  await sleep(1500);
  const b = snapshot();
  process.stderr.write("holding\n");
  await sleep(o.hold * 1000);
  const c = snapshot();
  out.procs = Object.fromEntries(
    c.map((p, i) => [
      p.name,
      {
        rssBeforeKiB: a[i].rssKiB,
        rssOpenKiB: b[i].rssKiB,
        rssHeldKiB: p.rssKiB,
        kibPerSession: r3((p.rssKiB - a[i].rssKiB) / Math.max(1, good.length)),
        fdsHeld: p.fds,
        idleCpuMsPerSec: r3((p.cpu - b[i].cpu) / Math.max(0.001, o.hold)),
      },
    ]),
  );
  for (const s of list) s.drop();
  await sleep(3000);
  snapshot().forEach((p) =>
    Object.assign(out.procs[p.name], { rssAfterCloseKiB: p.rssKiB, fdsAfterClose: p.fds }),
  );
} else if (o.mode === "churn") {
  const a = snapshot();
  let next = 0;
  const opens = [];
  await Promise.all(
    Array.from({ length: o.inflight }, async () => {
      while (next < o.cycles) {
        const s = new Session(next++);
        try {
          opens.push(await s.open());
        } catch (e) {
          err(e);
        }
        if (o.delete && o.transport === "http")
          await new Promise((r) =>
            exchange(s.url, "DELETE", s.headers, null, { head() {}, data() {}, end: r, fail: r }),
          );
        s.drop();
      }
    }),
  );
  out.cycles = o.cycles;
  out.openMs = dist(opens);
  out.cyclesPerSec = Math.round((o.cycles * 1000) / (performance.now() - wallStart));
  await sleep(2000);
  out.procs = Object.fromEntries(
    snapshot().map((p, i) => [
      p.name,
      {
        rssBeforeKiB: a[i].rssKiB,
        rssAfterKiB: p.rssKiB,
        fdsBefore: a[i].fds,
        fdsAfter: p.fds,
        cpuMsPer1kCycles: r3(((p.cpu - a[i].cpu) / o.cycles) * 1000),
      },
    ]),
  );
}
Object.assign(out, { errors, errorSamples: [...samples], client: o.client, ...stats });
console.log(JSON.stringify(out));
process.exit(errors ? 1 : 0);
