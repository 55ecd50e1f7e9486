import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { META } from "../../src/mcp/modern.ts";
import { startForAlice } from "../helpers/alice.ts";
import { Conversation } from "../helpers/conversation.ts";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import { json } from "../helpers/fixtures.ts";
import { EventStream } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const program = (name: string, ...args: string[]) => ({
  command: process.execPath,
  args: [
    "--no-warnings",
    fileURLToPath(new URL(`../fixtures/servers/${name}.ts`, import.meta.url)),
    ...args,
  ],
});
const FRONTS = ["sse", "mcp"] as const;
const PROGRESS =
  '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":TOKEN,"progress":1}}';
const ANSWER = '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"done"}]}}';
const CANCELLED = '"notifications/cancelled"';
/** A call of `say`, with its `_meta` as it is written here. */
const saying = (id: string, meta: string, lines: readonly string[]) =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{${meta}"name":"say","arguments":{"lines":${JSON.stringify(lines)}}}}`;

async function rig(t: TestContext, capabilities: object = {}) {
  const dir = daemonFolder(t);
  const record = join(dir, "said.txt");
  const servers = {
    says: program("says", "--record", record),
    witness: program("witness", "--record", record),
  };
  const daemon = await startDaemon(t, { dir, config: { servers, defaultServer: "says" } });
  // A user for each front, whose child counts its calls from the start.
  const secrets = {
    sse: (await daemon.addUser("sse")).key.secret,
    mcp: (await daemon.addUser("mcp")).key.secret,
  };
  return {
    open: async (front: "sse" | "mcp", server: keyof typeof servers = "says") => {
      const { origin } = daemon;
      const place = { origin, user: front, secret: secrets[front], server, front };
      const opened = await Conversation.open(place, capabilities);
      t.after(() => opened.close());
      return opened;
    },
    /** The lines that the child has read. */
    read: () => (existsSync(record) ? readFileSync(record, "utf8").split("\n") : []),
  };
}

test("progress goes to the session that asked, however the key of its token is written", async (t) => {
  const { open } = await rig(t);
  const metas = [
    (token: number) => `"_meta":{"progress\\u0054oken":${token}},`,
    (token: number) => `"_m\\u0065ta":{"\\u0070rogressToken":${token}},`,
    (token: number) => `"_meta":{"x":"\\"progressToken\\"","progressT\\u006fken":${token}},`,
  ];
  for (const front of FRONTS) {
    const other = await open(front);
    const mine = await open(front);
    // Open at the child, with a token: whatever number the gateway gave it must not be met by guessing.
    other.post(saying('"open"', '"_meta":{"progressToken":"theirs"},', [])).catch(() => {});
    await other.request("ping", "ping");
    let asked = 0;
    for (const meta of metas) {
      for (let token = 1; token <= 12; token++) {
        asked += 1;
        const id = `"m${asked}"`;
        await (await mine.post(saying(id, meta(token), [PROGRESS, ANSWER]))).over();
        await mine.answerTo(`m${asked}`);
      }
    }
    const tokens = mine.received.flatMap(({ method, params }) =>
      method === "notifications/progress" ? [params?.["progressToken"]] : [],
    );
    const all = metas.flatMap(() => Array.from({ length: 12 }, (_, i) => i + 1));
    assert.deepEqual(tokens, all, front);
    assert.deepEqual(other.methods(), [], front);
  }
});

test("a cancellation finds its call, however either writes the id", async (t) => {
  const { open, read } = await rig(t);
  let cancelled = 0;
  const pairs = [
    ['"w\\u0061it"', '"wait"'],
    ['"a/b"', '"a\\/b"'],
    ["7.0", "7"],
  ] as const;
  for (const front of FRONTS) {
    const session = await open(front, "witness");
    for (const [id, spelled] of pairs) {
      const posted = session.post(
        `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"wait"}}`,
      );
      if (front === "sse") await posted;
      await session.request(`before ${id}`, "ping");
      await session.post(
        `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"request\\u0049d":${spelled}}}`,
      );
      await (await posted).over();
      cancelled += 1;
      await until(
        () => read().filter((line) => line.includes(CANCELLED)).length === cancelled,
        "the child has heard of it",
      );
      // The id is free again: the gateway waits for its call no longer.
      const again = await session.post(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`);
      assert.ok(again.status < 300, `${front} ${id}: ${again.status} ${again.body}`);
    }
  }
});

test("the answer to a question reaches the child whose id a parser would change", async (t) => {
  const { open, read } = await rig(t, { sampling: {} });
  const question =
    '{"jsonrpc":"2.0","id":12345678901234567891,"method":"sampling/createMessage","params":{}}';
  for (const front of FRONTS) {
    const session = await open(front);
    session.post(saying('"s"', "", [question])).catch(() => {});
    await session.heard("sampling/createMessage");
    const said = `{"jsonrpc":"2.0","id":12345678901234567891,"result":{"said":"${front}"}}`;
    await session.post(said);
    await until(() => read().includes(said), "the child has read the answer");
    await session.end();
  }
});

test("over a bridge progress finds the POST that it belongs to, however its token is written", async (t) => {
  const servers = { "by-sse": { type: "sse", ...program("says", "--port", "${port}") } };
  const alice = await startForAlice(t, servers);
  const session = await alice.http("by-sse");
  const lines = [PROGRESS.replace("TOKEN", '"tok"'), ANSWER];
  const meta = '"_meta":{"progress\\u0054oken":"t\\u006fk"},';
  const { body } = await alice.post("/u/alice/by-sse/mcp", saying("1", meta, lines), session);
  // What belongs to no POST would wait for a stream of the session's own.
  assert.match(body, /"notifications\/progress"/);
});

test("in 2026-07-28 progress goes to the request that asked, however the key of its token is written", async (t) => {
  const { daemon, auth } = await startForAlice(t, { era: program("stdio-era", "--era", "modern") });
  const version = "2026-07-28";
  const own = `"${META.protocolVersion}":"${version}","${META.clientCapabilities}":{}`;
  const mirrored = ["mcp-protocol-version", version, "mcp-method", "tools/call", "mcp-name"];
  const call = (id: number, name: string, args: object, token: string) =>
    EventStream.open(daemon.port, {
      method: "POST",
      path: "/u/alice/era/mcp",
      headers: [...auth, ...json, ...mirrored, name],
      body: `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}","arguments":${JSON.stringify(args)},"_meta":{${own},${token}}}}`,
    });
  // Whatever numbers the gateway gave the tokens of these must not be met by guessing.
  const long = { steps: 1_000_000 };
  const theirs = await Promise.all(
    [1, 2].map((id) => call(id, "progress", long, '"progressToken":"theirs"')),
  );
  for (const key of ["progress\\u0054oken", "\\u0070rogressToken"]) {
    for (let token = 1; token <= 12; token++) {
      const mine = await call(token, "progress", { steps: 1 }, `"${key}":${token}`);
      await until(() => mine.isEnded, "it is answered");
      assert.match(mine.text, new RegExp(`"progressToken":${token}[,}]`), `${key} ${token}`);
      assert.match(mine.text, /"text":"done"/);
    }
  }
  for (const stream of theirs) {
    stream.close();
    assert.match(stream.text, /"progressToken":"theirs"/);
    assert.doesNotMatch(stream.text, /"progressToken":\d/);
  }
});
