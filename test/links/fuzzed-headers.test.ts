import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import { readServerEntry } from "../../src/config/one-server.ts";
import { HttpClient } from "../../src/links/http1/client.ts";
import { headersToChild, withOwnHeaders } from "../../src/mcp/headers.ts";
import { serve } from "../helpers/serve.ts";

/** Names and values; `HEADERS=100000 node --test test/links/fuzzed-headers.test.ts` tries more. */
const COUNT = Number(process.env["HEADERS"] ?? 2000);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const PER_REQUEST = 20;

/** Mulberry32: the same numbers for the same seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const NAMES = [
  "Authorization",
  "authorization",
  "Cookie",
  "X-User",
  "X-User-Id",
  "X-Forwarded-For",
  "Forwarded",
  "Host",
  "Content-Length",
  "Transfer-Encoding",
  "Connection",
  "Keep-Alive",
  "TE",
  "Trailer",
  "Upgrade",
  "Proxy-Authorization",
  "Expect",
  "Mcp-Session-Id",
  "MCP-Protocol-Version",
  "Mcp-Method",
  "Mcp-Name",
  "Content-Type",
  "Accept",
  "Accept-Encoding",
  "User-Agent",
  "Last-Event-ID",
  "X-Key",
  "__proto__",
  "constructor",
];
const PARTS = [
  "\r\n",
  "\n",
  "\r",
  "\0",
  "\u000b",
  "\u0085",
  "\u2028",
  "Ċ",
  "嘊",
  "\ud800",
  "ÿ",
  " ",
  "\t",
  ":",
  ";",
  ",",
  "Bearer x",
  "X-User: eve",
  "Host: evil",
  "GET / HTTP/1.1",
  "Content-Length: 0",
  "chunked",
  "${user}",
  "${token}",
  "${x}",
  "%0d%0a",
];

const OURS = { authorization: "Bearer the-admins-own", "x-user": "alice" };
const DENIED =
  /^(?:host|content-length|transfer-encoding|connection|keep-alive|te|trailer|upgrade|proxy-.*|expect|mcp-(?:session-id|protocol-version|method|name))$/i;

test("whatever headers are named and hold, none breaks out, forges who asks, or goes out twice", async (t) => {
  const random = randomFrom(SEED);
  t.diagnostic(`SEED=${SEED}`);
  const pick = <T>(all: readonly T[]): T => all[random(all.length)]!;
  const letters = (): string => Math.floor(random(1e9)).toString(36);
  const name = (): string => {
    const known = pick(NAMES);
    const kind = random(6);
    if (kind === 0) return known;
    if (kind === 1) return known.toUpperCase();
    if (kind === 2) return `${known}${pick(PARTS)}`;
    if (kind === 3) return `${pick(PARTS)}${letters()}`;
    return `x-${letters()}`;
  };
  const value = (): string =>
    Array.from({ length: 1 + random(3) }, () => (random(3) === 0 ? pick(PARTS) : letters())).join(
      "",
    );

  const got: IncomingMessage[] = [];
  const { url } = await serve(t, (req, res) => {
    got.push(req);
    res.end("{}");
  });
  const client = new HttpClient(url, true);
  t.after(() => client.close());
  const config = parseConfig({ servers: {} }, "/srv");
  const send = (headers: readonly string[]): Promise<void> =>
    new Promise((resolve, reject) => {
      client.request(
        { method: "POST", path: "/mcp", headers, body: Buffer.from("{}") },
        { head() {}, data() {}, end: resolve, fail: reject, broke: reject },
      );
    });

  let accepted = 0;
  for (let done = 0; done < COUNT; done += PER_REQUEST) {
    const pairs = Array.from({ length: PER_REQUEST }, () => [name(), value()] as const);
    // Each by itself, as the admin's; what is taken goes out together.
    const own: Record<string, string> = { ...OURS };
    for (const [key, text] of pairs) {
      if (Object.hasOwn(own, key)) continue;
      const read = readServerEntry(
        "x",
        { url: "http://a/mcp", headers: { ...own, [key]: text } },
        config,
      );
      if ("problems" in read) {
        for (const line of read.problems) assert.ok(!line.includes("\n"), line);
        continue;
      }
      // A name that no object is built with is taken by nobody.
      if (read.def.kind !== "remote" || !Object.hasOwn(read.def.headers, key)) continue;
      assert.doesNotMatch(key, DENIED);
      assert.match(text, /^[\t\x20-\x7e\x80-\xff]*$/);
      own[key] = text;
    }
    accepted += Object.keys(own).length;
    // The same as a client's, of which those that Node could have read reach here.
    // The gateway takes JSON alone from it.
    const raw = pairs.filter(
      ([key, text]) =>
        /^(?!content-type$)[\w-]+$/i.test(key) && /^[\t\x20-\x7e\x80-\xff]*$/.test(text),
    );
    const passed = headersToChild(raw.flat(), pick([undefined, "close, x-user", letters()]));
    const sent = withOwnHeaders(["content-type", "application/json", ...passed], own);
    const before = got.length;
    await send(sent);
    assert.equal(got.length, before + 1, "one request is one");
    const { headers, rawHeaders, method, url: path } = got.at(-1)!;
    assert.deepEqual([method, path, headers.host], ["POST", "/mcp", url.host]);
    const names = rawHeaders.filter((_, index) => index % 2 === 0).map((one) => one.toLowerCase());
    assert.equal(new Set(names).size, names.length, `twice: ${names.join()}`);
    assert.equal(headers["content-length"], "2");
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers.authorization, OURS.authorization);
    assert.equal(headers["x-user"], "alice");
    assert.equal(headers["transfer-encoding"], undefined);
    const known = new Set([...Object.keys(own), ...passed].map((one) => one.toLowerCase()));
    for (const one of names)
      assert.ok(
        known.has(one) ||
          ["host", "accept-encoding", "content-length", "content-type"].includes(one),
        one,
      );
  }
  assert.ok(accepted > COUNT / 4, "many were taken");
});
