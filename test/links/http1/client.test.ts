import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import type { SupervisorError } from "../../../src/errors.ts";
import { HttpClient, UNHEARD } from "../../../src/links/http1/client.ts";
import type { Exchange, HttpRequest } from "../../../src/links/http1/client.ts";
import { serve } from "../../helpers/serve.ts";
import { until } from "../../helpers/until.ts";

const GET: HttpRequest = { method: "GET", path: "/", headers: [], body: null };

/** From here the event loop reads before this turn is over. */
const beforeReading = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** The whole answer to one request. */
function ask(client: HttpClient, request: HttpRequest): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let body = "";
    client.request(request, {
      head: (code) => (status = code),
      data: (chunk) => (body += chunk.toString()),
      end: () => resolve({ status, body }),
      fail: reject,
      broke: reject,
    });
  });
}

test("requests with the same headers go each to its path, by its method and with its length", async (t) => {
  const { url } = await serve(t, (req, res) => {
    req.resume();
    const { "content-length": length = "none", "x-of": of } = req.headers;
    res.end(`${req.method} ${req.url} ${length} ${String(of)}`);
  });
  const client = new HttpClient(new URL(url), false);
  t.after(() => client.close());
  const headers = ["x-of", "all"];
  const said = async (method: HttpRequest["method"], path: string, text?: string) => {
    const body = text === undefined ? null : Buffer.from(text);
    return (await ask(client, { method, path, headers, body })).body;
  };
  assert.equal(await said("POST", "/a", "one"), "POST /a 3 all");
  assert.equal(await said("POST", "/a", "three"), "POST /a 5 all");
  assert.equal(await said("POST", "/b", "three"), "POST /b 5 all");
  assert.equal(await said("GET", "/b"), "GET /b none all");
});

test("a body arrives as it was, small and large, with its length", async (t) => {
  const { url } = await serve(t, (req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      assert.equal(req.headers["content-length"], String(Buffer.concat(chunks).length));
      res.end(Buffer.concat(chunks));
    });
  });
  const client = new HttpClient(url, false);
  t.after(() => client.close());
  for (const body of ["", "{}", "ключ \u0001 🙂", "x".repeat(100_000)]) {
    assert.equal(
      (await ask(client, { ...GET, method: "POST", body: Buffer.from(body) })).body,
      body,
    );
  }
});

test("requests one after the other share a connection", async (t) => {
  const served = await serve(t, (_req, res) => res.end("ok"));
  const client = new HttpClient(served.url, false);
  t.after(() => client.close());
  let count = 0;
  served.server.on("connection", () => (count += 1));
  for (let i = 0; i < 20; i++) assert.equal((await ask(client, GET)).status, 200);
  assert.equal(count, 1);
});

test("of more idle connections than are kept one is closed, and all others are still there for the next requests", async (t) => {
  const KEPT = 32;
  const waiting: ServerResponse[] = [];
  const served = await serve(t, (_req, res) => void waiting.push(res));
  const client = new HttpClient(served.url, false);
  t.after(() => client.close());
  let opened = 0;
  served.server.on("connection", () => (opened += 1));
  const askAtOnce = async (count: number): Promise<void> => {
    const answers = Array.from({ length: count }, () => ask(client, GET));
    await until(() => waiting.length === count, "all requests are there");
    for (const res of waiting.splice(0)) res.end("ok");
    await Promise.all(answers);
  };
  await askAtOnce(KEPT + 1);
  await until(async () => (await served.connections()) === KEPT, "one too many is closed");
  await askAtOnce(KEPT);
  assert.equal(opened, KEPT + 1);
  client.close();
  await until(async () => (await served.connections()) === 0, "no connection is left");
});

test("streams that came and went leave no connection", async (t) => {
  const served = await serve(t, (_req, res) => {
    res.writeHead(200, { "content-type": "text/event-stream" });
    res.write(":\n\n");
  });
  const client = new HttpClient(served.url, false);
  t.after(() => client.close());
  const exchanges = Array.from({ length: 50 }, () =>
    client.request(GET, { head() {}, data() {}, end() {}, fail: assert.fail, broke: assert.fail }),
  );
  await until(async () => (await served.connections()) === 50, "all streams are open");
  for (const exchange of exchanges) exchange.abort();
  await until(async () => (await served.connections()) === 0, "no connection is left");
});

test("an exchange that is over does not touch the connection's next one", async (t) => {
  let second: ServerResponse | undefined;
  const { url } = await serve(t, (req, res) => {
    if (req.url === "/1") res.end("one");
    else second = res;
  });
  const client = new HttpClient(url, false);
  t.after(() => client.close());
  const first = await new Promise<ReturnType<HttpClient["request"]>>((resolve) => {
    const exchange = client.request(
      { ...GET, path: "/1" },
      { head() {}, data() {}, end: () => resolve(exchange), fail: assert.fail, broke: assert.fail },
    );
  });
  const answer = ask(client, { ...GET, path: "/2" });
  await until(() => second, "the second request has arrived");
  first.abort();
  second!.end("two");
  assert.equal((await answer).body, "two");
});

test("a reader that pauses stops the server, and gets everything after it resumes", async (t) => {
  const total = 64 * 1024 * 1024;
  let sent = 0;
  const { url } = await serve(t, (_req, res) => {
    const chunk = Buffer.alloc(64 * 1024, "x");
    const pump = () => {
      while (sent < total) {
        sent += chunk.length;
        if (!res.write(chunk)) return res.once("drain", pump);
      }
      return res.end();
    };
    pump();
  });
  const client = new HttpClient(url, false);
  t.after(() => client.close());
  let received = 0;
  const done = new Promise<void>((resolve, reject) => {
    const exchange = client.request(GET, {
      head: () => setImmediate(() => exchange.pause()),
      data: (chunk) => (received += chunk.length),
      end: resolve,
      fail: reject,
      broke: reject,
    });
    // Two looks at the same number: nothing moves while the reader is paused.
    let last = -1;
    void until(
      () => (sent > 0 && sent === last) || ((last = sent), false),
      "the server has stopped",
    ).then(() => {
      assert.ok(sent < total / 2, `${sent} bytes were accepted`);
      exchange.resume();
    });
  });
  await done;
  assert.equal(received, total);
});

test("a server that is not there and one that hangs up are told apart", async (t) => {
  const served = await serve(t, (req) => req.socket.destroy());
  const client = new HttpClient(served.url, false);
  await assert.rejects(ask(client, GET), { code: "UPSTREAM_RESET" });
  served.server.close();
  await once(served.server, "close");
  await assert.rejects(ask(client, GET), { code: "UPSTREAM_REFUSED" });
});

test("a request over a connection that the server has closed meanwhile goes out on another, once", async (t) => {
  const bodies: string[] = [];
  const served = await serve(t, (req, res) => {
    let body = "";
    req.setEncoding("utf8").on("data", (text: string) => (body += text));
    req.on("end", () => res.end(String(bodies.push(body))));
  });
  const client = new HttpClient(served.url, false);
  t.after(() => client.close());
  const post = (body: string) => ask(client, { ...GET, method: "POST", body: Buffer.from(body) });
  assert.equal((await post("first")).body, "1");
  await beforeReading();
  // The end of the connection is there to be read, and nobody has yet.
  served.server.closeIdleConnections();
  assert.equal((await post("second")).body, "2");
  assert.deepEqual(bodies, ["first", "second"]);
});

test("a request of which nothing has gone out says so until it has, and is refused where the server is gone", async (t) => {
  const served = await serve(t, (_req, res) => res.end("ok"));
  const client = new HttpClient(served.url, false);
  t.after(() => client.close());
  await ask(client, GET);
  const begin = () => {
    let exchange!: Exchange;
    const over = new Promise<string>((resolve) => {
      const fail = ({ code }: SupervisorError): void => resolve(code);
      const receiver = { head() {}, data() {}, end: () => resolve("ok"), fail, broke: assert.fail };
      exchange = client.request(GET, receiver);
    });
    return { exchange, over };
  };
  const [again, fresh] = [begin(), begin()];
  assert.deepEqual([again.exchange.isUnsent, fresh.exchange.isUnsent], [true, true]);
  assert.deepEqual(await Promise.all([again.over, fresh.over]), ["ok", "ok"]);
  assert.deepEqual([again.exchange.isUnsent, fresh.exchange.isUnsent], [false, false]);
  await beforeReading();
  served.server.close();
  served.server.closeAllConnections();
  const late = begin();
  assert.equal(await late.over, "UPSTREAM_REFUSED");
});

test("a request that is aborted before it has gone out never does", async (t) => {
  let count = 0;
  const served = await serve(t, (_req, res) => res.end(String((count += 1))));
  const client = new HttpClient(served.url, false);
  t.after(() => client.close());
  await ask(client, GET);
  client.request(GET, UNHEARD).abort();
  assert.equal((await ask(client, GET)).body, "2");
});

/** A process that answers one request, reads the next and does not answer that. */
const SILENT = `let count = 0;
const server = require("node:http").createServer((req, res) => {
  if (count++ === 0) return res.end("ok");
  req.resume().on("end", () => console.log("read"));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;

test("what a dead process has read is told apart from what it has not, where its death is known", async (t) => {
  const cases: [isStopped: boolean, isGone: boolean, code: string][] = [
    [true, true, "UPSTREAM_REFUSED"],
    [false, true, "UPSTREAM_RESET"],
    [true, false, "UPSTREAM_RESET"],
  ];
  for (const [isStopped, isGone, code] of cases) {
    const child = spawn(process.execPath, ["-e", SILENT], { stdio: ["ignore", "pipe", "inherit"] });
    t.after(() => child.kill("SIGKILL"));
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
    const port = await until(() => /^\d+/.exec(said)?.[0], "it listens");
    const client = new HttpClient(new URL(`http://127.0.0.1:${port}/`), false, {
      isGone: () => isGone,
    });
    t.after(() => client.close());
    await ask(client, GET);
    if (isStopped) child.kill("SIGSTOP");
    let isUnsent = () => true;
    const over = new Promise<string>((resolve) => {
      const receiver = { ...UNHEARD, fail: (error: SupervisorError) => resolve(error.code) };
      const post = { ...GET, method: "POST" as const, body: Buffer.from("{}") };
      const exchange = client.request(post, receiver);
      isUnsent = () => exchange.isUnsent;
    });
    await until(() => !isUnsent() && (isStopped || said.includes("read")), "the request is there");
    child.kill("SIGKILL");
    assert.equal(await over, code);
  }
});

test("closing the client fails what is under way and frees every connection", async (t) => {
  const served = await serve(t, () => {});
  const client = new HttpClient(served.url, false);
  const answers = [1, 2, 3].map(() =>
    ask(client, GET).catch((error: SupervisorError) => error.code),
  );
  await until(async () => (await served.connections()) === 3, "all are connected");
  client.close();
  assert.deepEqual(await Promise.all(answers), [
    "UPSTREAM_RESET",
    "UPSTREAM_RESET",
    "UPSTREAM_RESET",
  ]);
  await until(async () => (await served.connections()) === 0, "no connection is left");
});

test("a token with a line break in it cannot add a header", async (t) => {
  const { url } = await serve(t, (_req, res) => res.end());
  const client = new HttpClient(url, false);
  t.after(() => client.close());
  for (const value of ["a\r\nx: y", "a\nb", "a\0"]) {
    assert.throws(
      () =>
        client.request(
          { ...GET, headers: ["authorization", value] },
          { head() {}, data() {}, end() {}, fail() {}, broke() {} },
        ),
      {
        code: "UPSTREAM_INVALID",
      },
    );
  }
});

test("a remote at a metadata address is refused before any connection", () => {
  assert.throws(() => new HttpClient(new URL("http://169.254.169.254/latest"), true), {
    code: "UPSTREAM_REFUSED",
  });
});
