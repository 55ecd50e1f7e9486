import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { META } from "../../src/mcp/modern.ts";
import { startForAlice } from "../helpers/alice.ts";
import { Conversation } from "../helpers/conversation.ts";
import { json } from "../helpers/fixtures.ts";
import { EventStream } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const PROGRAM = fileURLToPath(new URL("../fixtures/servers/spells-numbers.ts", import.meta.url));
const STRAY = "an answer to what it was never asked";

const program = (era: string) => ({
  command: process.execPath,
  args: ["--no-warnings", PROGRAM, "--era", era],
});

async function rig(t: TestContext) {
  const alice = await startForAlice(t, { legacy: program("legacy"), modern: program("modern") });
  const secret = alice.auth[1]!.replace("Bearer ", "");
  const open = async (front: "sse" | "mcp") => {
    const { origin } = alice.daemon;
    const opened = await Conversation.open({
      origin,
      user: "alice",
      secret,
      server: "legacy",
      front,
    });
    t.after(() => opened.close());
    return opened;
  };
  const strays = async (): Promise<number> => {
    const { stdout } = await alice.daemon.cli(["logs", "alice", "--server", "legacy"]);
    return stdout.split(STRAY).length - 1;
  };
  return { alice, open, strays };
}

const withToken = (name: string, token: unknown) => ({
  name,
  arguments: { steps: 1 },
  _meta: { progressToken: token },
});

for (const front of ["sse", "mcp"] as const) {
  test(`over /${front} answers and progress arrive from a stdio server that writes our numbers as text, and a client's token stays what it was`, async (t) => {
    const { open } = await rig(t);
    const session = await open(front);
    for (const token of [5, "5", "text"]) {
      const id = `of ${JSON.stringify(token)}`;
      const { result } = await session.request(id, "tools/call", withToken("progress", token));
      assert.ok(result, id);
    }
    assert.ok((await session.request(7, "ping")).result);
    await until(() => session.methods().length === 3, "all progress has come");
    const tokens = session.received.flatMap(({ params }) => params?.["progressToken"] ?? []);
    assert.deepEqual(tokens, [5, "5", "text"]);
  });
}

test("a server of 2026-07-28 that writes our numbers as text is heard: answers, progress and subscriptions", async (t) => {
  const { alice } = await rig(t);
  const meta = { [META.protocolVersion]: "2026-07-28", [META.clientCapabilities]: {} };
  const mirrored = (method: string, name?: string) => [
    "mcp-protocol-version",
    "2026-07-28",
    "mcp-method",
    method,
    ...(name === undefined ? [] : ["mcp-name", name]),
  ];
  const open = async (body: object, ...headers: string[]) => {
    const opened = await EventStream.open(alice.daemon.port, {
      method: "POST",
      path: "/u/alice/modern/mcp",
      headers: [...alice.auth, ...json, ...headers],
      body: JSON.stringify({ jsonrpc: "2.0", ...body }),
    });
    t.after(() => opened.close());
    return opened;
  };
  const params = { ...withToken("progress", 5), _meta: { ...meta, progressToken: 5 } };
  const call = await open(
    { id: 1, method: "tools/call", params },
    ...mirrored("tools/call", "progress"),
  );
  await until(() => call.text.includes('"text":"done"'), "the call is answered");
  assert.match(call.text, /"progressToken":5[,}]/);
  assert.match(call.text, /"id":1[,}]/);

  const listen = { notifications: { toolsListChanged: true }, _meta: meta };
  const stream = await open(
    { id: 2, method: "subscriptions/listen", params: listen },
    ...mirrored("subscriptions/listen"),
  );
  await until(() => stream.text.includes("acknowledged"), "the subscription is acknowledged");
  assert.match(stream.text, /"io\.modelcontextprotocol\/subscriptionId":2[,}]/);
});

test("an answer to what was never asked is logged once for a child, a late one and one to the gateway's own requests are not", async (t) => {
  const { open, strays } = await rig(t);
  const leaving = await open("sse");
  await leaving.request("s", "resources/subscribe", { uri: "x:y" });
  await leaving.post(
    '{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"hold","arguments":{}}}',
  );
  await leaving.send({ method: "notifications/cancelled", params: { requestId: "h" } });
  await leaving.call("r", "release");
  const staying = await open("sse");
  // Its end is a resources/unsubscribe of the gateway's own.
  await leaving.end();
  await staying.request("after", "ping");
  assert.equal(await strays(), 0);
  assert.equal(await staying.call("one", "stray"), "strayed");
  assert.equal(await staying.call("two", "stray"), "strayed");
  assert.equal(await strays(), 1);
});
