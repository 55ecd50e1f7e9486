import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startForAlice } from "../helpers/alice.ts";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import { bearer, initialize, json, modernCall, rpc } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const SAYS = fileURLToPath(new URL("../fixtures/servers/says.ts", import.meta.url));

/** Not line ends to an event stream, but to the readers of many clients. */
const BREAKS = "a\u2028b\u2029c\u0085d";
const ESCAPED = String.raw`a\u2028b\u2029c\u0085d`;
const NOTE = `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"${BREAKS}"}}`;
const ANSWER = `{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"${BREAKS}"}]}}`;

test("line ends that only clients know are escaped in bridged events, and relayed as they are", async (t) => {
  const node = (...args: string[]) => ({
    command: process.execPath,
    args: ["--no-warnings", SAYS, ...args],
  });
  const servers = {
    "by-stdio": node(),
    "by-sse": { type: "sse", ...node("--port", "${port}") },
    "by-http": { type: "http", ...node("--port", "${port}") },
  };
  const daemon = await startDaemon(t, {
    dir: daemonFolder(t),
    config: { servers, defaultServer: "by-stdio" },
  });
  const { secret } = (await daemon.addUser("alice")).key;
  const headers = [...bearer(secret), ...json];
  // Escaped here, since Node's own line reader in the server is one that cuts at them.
  const call = rpc(7, "tools/call", {
    name: "say",
    arguments: { lines: [NOTE, ANSWER] },
  }).replaceAll(BREAKS, ESCAPED);

  /** What comes of the call on the stream that carries its answer. */
  const say = async (front: "sse" | "mcp", server: string): Promise<string> => {
    const path = `/u/alice/${server}/${front}`;
    if (front === "sse") {
      const stream = await EventStream.open(daemon.port, { path, headers: bearer(secret) });
      t.after(() => stream.close());
      const endpoint = await until(() => stream.endpoint, "the endpoint has come");
      for (const [body, id] of [
        [initialize(1), 1],
        [call, 7],
      ] as const) {
        await ask(daemon.port, { method: "POST", path: endpoint, headers, body });
        const isAnswered = () => stream.messages().some((message) => message.id === id);
        await until(isAnswered, `${server} has answered ${id}`);
      }
      return stream.text;
    }
    const begun = await ask(daemon.port, { method: "POST", path, headers, body: initialize() });
    const session = ["mcp-session-id", String(begun.headers["mcp-session-id"])];
    const all = [...headers, ...session];
    const stream = await EventStream.open(daemon.port, {
      method: "POST",
      path,
      headers: all,
      body: call,
    });
    await until(() => stream.isEnded, `${server} has answered`);
    return stream.text;
  };

  for (const front of ["sse", "mcp"] as const) {
    for (const server of Object.keys(servers)) {
      const text = await say(front, server);
      const isRelayed = server === (front === "sse" ? "by-sse" : "by-http");
      const [there, notThere] = isRelayed ? [BREAKS, ESCAPED] : [ESCAPED, BREAKS];
      const found = text.split(there).length - 1;
      assert.equal(found, 2, `${front} over ${server}, in the notification and in the answer`);
      assert.ok(!text.includes(notThere), `${front} over ${server}`);
      if (isRelayed) continue;
      assert.doesNotMatch(text, /[\u0085\u2028\u2029]/, `${front} over ${server}`);
    }
  }
});

test("so they are in the events of a bridged request of 2026-07-28", async (t) => {
  const era = fileURLToPath(new URL("../fixtures/servers/stdio-era.ts", import.meta.url));
  const args = ["--no-warnings", era, "--era", "modern"];
  const { daemon, auth } = await startForAlice(t, { era: { command: process.execPath, args } });
  const asked = modernCall(auth, BREAKS, { name: "echo", arguments: { text: BREAKS } });
  const headers = asked.headers!.map((value) => (value === json[3] ? "text/event-stream" : value));
  // Escaped here, for the server's own line reader.
  const body = String(asked.body).replaceAll(BREAKS, ESCAPED);
  const stream = await EventStream.open(daemon.port, { ...asked, headers, body });
  await until(() => stream.isEnded, "it is answered");
  assert.equal(stream.headers["content-type"], "text/event-stream");
  assert.equal(stream.text.split(ESCAPED).length - 1, 2, "in the id and in the result");
  assert.doesNotMatch(stream.text, /[\u0085\u2028\u2029]/);
});
