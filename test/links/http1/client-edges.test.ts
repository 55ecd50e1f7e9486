import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { HttpClient } from "../../../src/links/http1/client.ts";
import type { Exchange, HttpRequest } from "../../../src/links/http1/client.ts";
import { serve } from "../../helpers/serve.ts";
import { until } from "../../helpers/until.ts";

const GET: HttpRequest = { method: "GET", path: "/", headers: [], body: null };

function ask(client: HttpClient, request: HttpRequest): Promise<string> {
  return new Promise((resolve, reject) => {
    let body = "";
    client.request(request, {
      head() {},
      data: (chunk) => (body += chunk.toString()),
      end: () => resolve(body),
      fail: reject,
      broke: reject,
    });
  });
}

/** Aborts in the very moment the head arrives, as a refusal that is not passed on does. */
function abortAtHead(client: HttpClient, request: HttpRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    const exchange: Exchange = client.request(request, {
      head() {
        exchange.abort();
        resolve();
      },
      data: () => reject(new Error("data after the abort")),
      end: () => reject(new Error("an end after the abort")),
      fail: reject,
      broke: reject,
    });
  });
}

for (const [what, body] of [
  ["without a body", ""],
  ["whole in one read", "gone"],
] as const) {
  test(`an exchange that is aborted at its head, ${what}, leaves no dead connection to the next ones`, async (t) => {
    const served = await serve(t, (req, res) => {
      res.writeHead(req.url === "/gone" ? 403 : 200, { "content-length": String(body.length) });
      res.end(body);
    });
    const client = new HttpClient(served.url, false);
    t.after(() => client.close());
    // An idle connection that the abort must not throw away instead of its own.
    await Promise.all([ask(client, GET), ask(client, GET)]);
    for (let i = 0; i < 3; i++) {
      await abortAtHead(client, { ...GET, path: "/gone" });
      assert.equal(await ask(client, GET), body);
    }
    client.close();
    await until(async () => (await served.connections()) === 0, "no connection is left");
  });
}

test("a token with characters that would turn into a line break on the wire adds no header", async (t) => {
  const seen: string[] = [];
  const { url } = await serve(t, (req, res) => {
    seen.push(...req.rawHeaders);
    res.end();
  });
  const client = new HttpClient(url, false);
  t.after(() => client.close());
  // In Latin-1 only the low byte of a character is sent: U+010D and U+010A are CR and LF then.
  for (const value of ["Bearer a\u010d\u010aevil: yes", "Bearer \u0100", "Bearer \u0001"]) {
    await assert.rejects(ask(client, { ...GET, headers: ["authorization", value] }), {
      code: "UPSTREAM_INVALID",
    });
  }
  await ask(client, { ...GET, headers: ["x-name", "caf\u00e9\t!"] });
  assert.equal(seen[seen.indexOf("x-name") + 1], "caf\u00e9\t!");
  assert.equal(seen.includes("evil"), false);
});

for (const path of ["//mcp", "//"])
  test(`a redirect from ${path} is one within the server, and is followed`, async (t) => {
    const asked: string[] = [];
    const { url } = await serve(t, (req, res) => {
      asked.push(req.url!);
      if (req.url !== path) return void res.end("there");
      res.writeHead(307, { location: new URL(`${url.origin}/there`).href }).end();
    });
    const client = new HttpClient(url, false);
    t.after(() => client.close());
    assert.equal(await ask(client, { ...GET, path }), "there");
    assert.deepEqual(asked, [path, "/there"]);
  });

test("a request that is aborted after it was redirected is ended where it has been led", async (t) => {
  const held: ServerResponse[] = [];
  const served = await serve(t, (req, res) => {
    if (req.url === "/") return void res.writeHead(307, { location: "/held" }).end();
    held.push(res);
  });
  const client = new HttpClient(served.url, false);
  t.after(() => client.close());
  const hear = (): never => assert.fail("it is aborted");
  const receiver = { head: hear, data: hear, end: hear, fail: hear, broke: hear };
  const exchange = client.request(GET, receiver);
  await until(() => held.length === 1, "it has been led there");
  exchange.pause();
  exchange.resume();
  exchange.abort();
  exchange.abort();
  await until(async () => (await served.connections()) === 0, "no connection is left");
});

test("a server that redirects and is gone fails the request once, and only that", async (t) => {
  const served = await serve(t, (_req, res) => {
    served.server.close();
    res.writeHead(307, { location: "/next", connection: "close" }).end();
  });
  const client = new HttpClient(served.url, false);
  t.after(() => client.close());
  await assert.rejects(ask(client, GET), { code: "UPSTREAM_REFUSED" });
});

test("what a server says behind an answer, however it is cut, is never taken for its next one", async (t) => {
  const evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
  let connections = 0;
  const served = await serve(t, (req, res) => {
    const size = Number(req.url!.slice(1));
    if (size === 0) return void res.end("good");
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`;
    req.socket.write(
      head.replace(/\d+\r/, `${size - head.length}\r`) + "x".repeat(size - head.length) + evil,
    );
  });
  served.server.on("connection", () => (connections += 1));
  const client = new HttpClient(served.url, false);
  t.after(() => client.close());
  for (const size of [1024, 4096, 8192, 16_384, 32_768]) {
    const before = connections;
    const next = new Promise<string>((resolve, reject) => {
      const end = (): void => void ask(client, { ...GET, path: "/0" }).then(resolve, reject);
      // In the very moment of the end: what is behind it may not have been looked at yet.
      client.request(
        { ...GET, path: `/${size}` },
        { head() {}, data() {}, end, fail: reject, broke: reject },
      );
    });
    // One read that is looked at in one piece has been refused by then.
    assert.notEqual(await next.catch(() => "refused"), "evil", `${size}`);
    assert.ok(connections > before || size < 8192, `${size}`);
  }
});

test("an answer that ends with its connection is whole, though its receiver pauses at each piece of it", async (t) => {
  const body = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `${i},`).join(""));
  const served = await serve(t, (req) => {
    req.socket.end(Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n\r\n"), body]));
  });
  const client = new HttpClient(served.url, false);
  t.after(() => client.close());
  const answers = Array.from({ length: 5 }, () => {
    const got: Buffer[] = [];
    return new Promise<Buffer>((resolve, reject) => {
      const exchange: Exchange = client.request(GET, {
        head() {},
        data(chunk) {
          got.push(chunk);
          exchange.pause();
          setImmediate(() => exchange.resume());
        },
        end: () => resolve(Buffer.concat(got)),
        fail: reject,
        broke: reject,
      });
    });
  });
  for (const answer of await Promise.all(answers)) assert.ok(answer.equals(body));
});
