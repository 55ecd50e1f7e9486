import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { freePort } from "../helpers/free-port.ts";
import { makeCertificate, missing, proxyExample, startProxy } from "../helpers/proxies.ts";

const VISITOR = fileURLToPath(new URL("../fixtures/clients/visit.ts", import.meta.url));

/** What the example has for the supervisor, beside its config for the proxy. */
const BESIDE = JSON.parse(proxyExample("supervisor.json")) as Record<string, unknown>;

async function visit(base: string, secret: string, ca: string): Promise<Record<string, unknown>> {
  const urls = [`${base}/u/alice/sse`, `${base}/u/alice/two/mcp`];
  const child = spawn(process.execPath, ["--no-warnings", VISITOR, ...urls], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: ca, KEY: secret },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close") as Promise<[number]>;
  const [out, words] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert.equal((await ended)[0], 0, words);
  return JSON.parse(out) as Record<string, unknown>;
}

for (const program of ["nginx", "caddy"] as const) {
  test(`an ordinary client through ${program} with the example's config, over TLS and both fronts, with the prefix and without`, async (t) => {
    const lack =
      missing("openssl", "version") ?? missing(program, program === "nginx" ? "-v" : "version");
    if (lack !== undefined) return t.skip(lack);
    const dir = daemonFolder(t);
    const { cert, key } = makeCertificate(dir);
    const ports = [await freePort(), await freePort()];
    const daemon = await startDaemon(t, {
      config: {
        servers: { one: echoServer("sse"), two: echoServer("http", "--answer", "sse") },
        defaultServer: "one",
        ...BESIDE,
        publicUrl: String(BESIDE["publicUrl"]).replace("mcp.example.com", "localhost"),
      },
    });
    const alice = await daemon.addUser("alice");
    for (const [i, port] of ports.entries()) {
      const isStripped = i === 1;
      const plan = {
        dir: join(dir, String(i)),
        port,
        gatewayPort: daemon.port,
        cert,
        key,
        isStripped,
      };
      await startProxy(t, program, plan);
      const found = await visit(`https://localhost:${port}/team`, alice.key.secret, cert);
      const { onSse, onHttp, sse, http, refused } = found;
      const endpoint =
        /^:\n\nid: [\w-]{22}\.0\nevent: endpoint\ndata: \/team\/u\/alice\/messages\?session_id=[\w-]{22}\n\n$/;
      assert.match(String(onSse), endpoint, "while the stream is open");
      assert.equal(onHttp, ":\n\n", "while the stream is open");
      assert.deepEqual([sse, http], [2_000_006, 2_000_006], isStripped ? "stripped" : "kept");
      assert.match(JSON.stringify(refused), /^\{"status":401,.*"KEY_MISSING"/);
    }
  });
}
