import assert from "node:assert/strict";
import dns from "node:dns";
import type { LookupAddress } from "node:dns";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { bearer, initialize, json } from "../helpers/fixtures.ts";
import { ask as askGateway } from "../helpers/raw-http.ts";
import { openRig } from "./rig.ts";
import type { AskOptions } from "./rig.ts";

const PATH = "/api/mcp/configs";

/** A listener that nobody should call, and how often somebody did. */
async function trap(t: TestContext): Promise<{ port: number; calls: () => number }> {
  let calls = 0;
  const server = createServer((socket) => {
    calls += 1;
    socket.on("error", () => {});
    socket.end("HTTP/1.1 500 Trapped\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  });
  server.listen(0, "::");
  await once(server, "listening");
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, calls: () => calls };
}

/** Hosts that mean this machine, the network around it, or what hands out a machine's credentials. */
const HOSTS = `
  127.0.0.1 127.1 127.0.1 127.255.255.254 0.0.0.0 0 0x0 2130706433 0x7f000001 0x7f.1 0x7f.0.0.1
  0177.0.0.1 017700000001 0177.1 10.0.0.1 10.255.255.255 0xa.1 167772161 172.16.0.1
  172.31.255.255 2886729729 192.168.0.1 192.168.1 0xc0a80001 3232235521 100.64.0.1
  100.127.255.255 169.254.169.254 0xa9fea9fe 2852039166 0251.0376.0251.0376 169.254.1
  100.100.100.200 192.0.0.1 198.18.0.1 198.19.255.255 224.0.0.1 239.255.255.250 240.0.0.1
  255.255.255.255 192.0.2.1 198.51.100.1 203.0.113.1 192.88.99.1 localhost LOCALHOST localhost.
  a.localhost ⓛocalhost １２７.０.０.１ 127。0。0。1 [::1] [::] [0:0:0:0:0:0:0:1] [::127.0.0.1]
  [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1] [::ffff:192.168.0.1]
  [::ffff:169.254.169.254] [::ffff:0:127.0.0.1] [fc00::1] [fd00::1] [fdff:ffff::1]
  [fd00:ec2::254] [fe80::1] [febf::1] [fec0::1] [ff02::1] [ff05::1:3] [2002:7f00:1::]
  [2002:a00:1::] [2002:c0a8:1::1] [2002:a9fe:a9fe::] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1]
  [64:ff9b::a00:1] [64:ff9b::a9fe:a9fe] [64:ff9b:1::7f00:1] [64:ff9b:1::8.8.8.8] [2001::1]
  [2001:0:7f00:1::] [100::1] [2001:db8::1]
`
  .trim()
  .split(/\s+/);

/** Forms that are no URL of a server, whatever they would lead to. */
const FORMS = [
  "http:127.0.0.1",
  "//127.0.0.1/",
  "http:///127.0.0.1",
  "http://",
  "http:// 127.0.0.1/",
  "file:///etc/passwd",
  "ftp://127.0.0.1/",
  "gopher://127.0.0.1/",
  "unix:/run/x.sock",
  "http+unix://%2Frun%2Fx.sock/",
  "data:,x",
  "http://user:pass@127.0.0.1/",
  "http://example.com@127.0.0.1/",
  "http://127.0.0.1#@example.com\\@x/",
  "http://127.0.0.1:99999/",
  "http://[::1",
  "http://[::1%25lo]/",
  "http://[fe80::1%25eth0]/",
  "http://1.2.3.4.5.6.7/\u0000",
  "http://127.0.0.1/${token}",
  "http://127.0.0.1\t.example.com/",
  "http://127.0.0.1\r\nX: y/",
];

test("with allowPrivate false no form of a URL that is set over TCP leads to this machine or its network", async (t) => {
  const { port, calls } = await trap(t);
  const { ask, daemon, dataDir } = await openRig(t, {
    admin: { host: "127.0.0.1", port: 0 },
    allowPrivate: false,
  });
  const token = readFileSync(join(dataDir, "admin.token"), "utf8").trim();
  const tcp: AskOptions = {
    tcp: daemon.adminAddress!,
    headers: { authorization: `Bearer ${token}` },
  };
  const urls = [
    ...HOSTS.flatMap((host) => [`http://${host}:${port}/mcp`, `https://${host}:${port}/sse`]),
    ...FORMS,
  ];
  assert.ok(HOSTS.length + FORMS.length >= 80);
  for (const [index, url] of urls.entries()) {
    const answered = await ask("POST", PATH, { body: { name: `N${index}`, url }, ...tcp });
    assert.equal(answered.status, 400, `${url}: ${answered.text}`);
  }

  // A name is judged when it is called, by what it means then.
  const addresses: Record<string, string[]> = {
    "inside.example": ["127.0.0.1"],
    "both.example": ["93.184.216.34", "::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
  };
  const lookup = dns.lookup;
  type Callback = (error: Error | null, found: string | LookupAddress[], family?: number) => void;
  Object.assign(dns, {
    lookup: (name: string, options: { all?: boolean }, callback: Callback) => {
      const found = (addresses[name] ?? []).map((address) => ({
        address,
        family: address.includes(":") ? 6 : 4,
      }));
      if (options.all === true) callback(null, found);
      else callback(null, found[0]!.address, found[0]!.family);
    },
  });
  syncBuiltinESMExports();
  t.after(() => {
    Object.assign(dns, { lookup });
    syncBuiltinESMExports();
  });
  const { body } = await ask("POST", "/api/users", { body: { user: "alice" } });
  const key = (body as { key: { secret: string } }).key.secret;
  const callOf = async (name: string, url: string, options: AskOptions): Promise<string> => {
    const made = await ask("POST", PATH, { body: { name, url }, ...options });
    assert.equal(made.status, 201, made.text);
    const slug = String(made.body["slug"]);
    await ask("PUT", `/api/groups/all/grants?server=${slug}`);
    const path = `/u/alice/${slug}/mcp`;
    const headers = [...bearer(key), ...json];
    const call = { method: "POST", path, headers, body: initialize() };
    return (await askGateway(daemon.address.port, call)).body;
  };
  for (const name of Object.keys(addresses))
    assert.match(await callOf(name, `http://${name}:${port}/mcp`, tcp), /UPSTREAM_REFUSED/, name);
  assert.equal(calls(), 0, "nobody was called");
  // The socket's may lead here, and what it set once is not opened by another name over TCP.
  await callOf("here", `http://127.0.0.1:${port}/mcp`, {});
  assert.equal(calls(), 1);
});
