import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import type { RemoteServer } from "../../src/config/config.ts";
import { RemoteEngine } from "../../src/engines/remote/remote-engine.ts";

const remote = (url: string, headers: Record<string, string>): RemoteServer =>
  parseConfig({ servers: { one: { url, headers } } }, "/srv").servers["one"] as RemoteServer;

const URL_OF_ALL = "http://127.0.0.1:9/mcp";

test("what runs sends the headers of now, but never to another place, nor without the token that they need", async () => {
  const before = remote(URL_OF_ALL, { "X-Key": "old ${user}" });
  let now: RemoteServer | undefined = before;
  const engine = new RemoteEngine({ find: () => now });
  const ref = { user: "ada", server: "one", variant: "" };
  const options = { onLine: () => {}, signal: new AbortController().signal };
  const running = await engine.start({ ref, def: before, token: undefined }, options);
  const headers = (): object => {
    assert.ok(running.endpoint.kind === "url");
    return running.endpoint.headers;
  };
  assert.deepEqual(headers(), { "X-Key": "old ada" });
  now = remote(URL_OF_ALL, { "X-Key": "new ${user}" });
  assert.deepEqual(headers(), { "X-Key": "new ada" });
  now = remote("http://127.0.0.1:10/mcp", { "X-Key": "for the other place" });
  assert.deepEqual(headers(), { "X-Key": "new ada" });
  now = remote(URL_OF_ALL, { "X-Key": "${token}" });
  assert.deepEqual(headers(), { "X-Key": "new ada" });
  running.replaceToken?.("a-token");
  assert.deepEqual(headers(), { "X-Key": "a-token" });
  now = undefined;
  assert.deepEqual(headers(), { "X-Key": "a-token" }, "it ends soon");
  await running.stop();
});
