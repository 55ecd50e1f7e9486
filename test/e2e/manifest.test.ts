import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { META } from "../../src/mcp/modern.ts";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { daemonFolder } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { rpc } from "../helpers/fixtures.ts";
import { Conversation } from "../helpers/conversation.ts";
import { notingServer } from "../helpers/notes-calls.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const VERSION = "2026-07-28";

/** How many manifests there are of a server, asked of the database itself. */
function countOf({ dataDir }: TestDaemon, server: string): number {
  const db = new Database(join(dataDir, "mcp-supervisor.db"), { readonly: true });
  try {
    const count = db.prepare("SELECT count(*) FROM manifests WHERE server = ?").pluck();
    return count.get(server) as number;
  } finally {
    db.close();
  }
}

/** The row of a server, of which only one instance has been wanted. */
async function stateOf(daemon: TestDaemon, server: string, user = "alice"): Promise<string> {
  const rows = await instancesOf(daemon);
  return rows.find((row) => row.user === user && row.server === server)?.state ?? "none";
}

/** One request of 2026-07-28 to that server, as a client that can do this. */
function modern(rig: Alice, server: string) {
  return async (id: number, method: string, capabilities: object = {}, more: object = {}) => {
    const _meta = { [META.protocolVersion]: VERSION, [META.clientCapabilities]: capabilities };
    const headers = ["mcp-protocol-version", VERSION, "mcp-method", method];
    const body = rpc(id, method, { ...more, _meta });
    const { status, body: text } = await rig.post(`/u/alice/${server}/mcp`, body, headers);
    assert.equal(status, 200, text);
    return text;
  };
}

for (const kind of ["stdio", "http"] as const)
  test(`2026-07-28 over ${kind}: a child that sleeps answers discover and lists with the bytes of its last one`, async (t) => {
    const dir = daemonFolder(t);
    const { notes, entry } = await notingServer(kind, join(dir, "notes"), {
      args: ["--era", "modern", "--json"],
    });
    const rig = await startForAlice(t, { one: entry }, {}, { dir });
    const ask = modern(rig, "one");
    const state = () => stateOf(rig.daemon, "one");
    const awake = [await ask(7, "server/discover"), await ask(8, "tools/list")];
    await until(() => countOf(rig.daemon, "one") === 1, "what it shows is kept");
    await rig.daemon.cli(["stop", "alice"]);
    notes.holdStarts();
    // A list alone wakes nobody.
    assert.equal(await ask(8, "tools/list"), awake[1]);
    assert.equal(await state(), "stopped");
    assert.equal(await ask(7, "server/discover"), awake[0]);
    assert.equal(await state(), "starting");
    assert.match(await ask(9, "prompts/list"), /"id":9,.*greet/);
    // Another declaration, and a page that nobody kept, are for the child to answer.
    const other = ask(10, "tools/list", { roots: {} });
    const page = ask(11, "tools/list", {}, { cursor: "0" });
    let isAnswered = false;
    void Promise.race([other, page]).then(() => (isAnswered = true));
    assert.equal(await ask(8, "tools/list"), awake[1]);
    assert.equal(isAnswered, false);
    notes.letStart();
    assert.match(await other, /"id":10,/);
    assert.match(await page, /"id":11,/);
  });

test("a server without sessions that sleeps says hello by what it last showed, and gives no session id", async (t) => {
  const dir = daemonFolder(t);
  const args = ["--sessionless", "--json"];
  const { notes, entry } = await notingServer("http", join(dir, "notes"), { args });
  const rig = await startForAlice(t, { one: entry }, {}, { dir });
  const params = { protocolVersion: "2025-11-25", capabilities: {} };
  const hello = rpc(1, "initialize", params);
  const awake = await rig.post("/u/alice/one/mcp", hello);
  await until(() => countOf(rig.daemon, "one") === 1, "what it shows is kept");
  await rig.daemon.cli(["stop", "alice"]);
  notes.holdStarts();
  const asleep = await rig.post("/u/alice/one/mcp", hello);
  assert.deepEqual(
    [asleep.status, asleep.body, asleep.headers["mcp-session-id"]],
    [200, awake.body, undefined],
  );
  assert.equal(await stateOf(rig.daemon, "one"), "starting");
  notes.letStart();
  // It says no more of its client, so the child is asked.
  const { body } = await rig.post("/u/alice/one/mcp", rpc(2, "tools/list"));
  assert.match(body, /"id":2,.*"note"/);
});

const ROUTES = [
  ["stdio", "sse"],
  ["stdio", "mcp"],
  ["sse", "sse"],
  ["sse", "mcp"],
  ["http", "sse"],
  ["http", "mcp"],
] as const;

/** What it says of this user's session with this id, byte for byte. */
const textOf = ({ texts }: Conversation, id: string): string | undefined =>
  texts.find((text) => text.includes(`"id":"${id}"`));

for (const [kind, front] of ROUTES)
  test(`${kind} over ${front}: a child that sleeps is known by what it last showed`, async (t) => {
    const dir = daemonFolder(t);
    const { notes, entry } = await notingServer(kind, join(dir, "notes"));
    const rig = await startForAlice(t, { one: entry }, {}, { dir });
    const { daemon } = rig;
    const secretOf = async (user: string): Promise<string> =>
      (await daemon.cli(["key", "issue", user])).json<{ secret: string }>().secret;
    const alices = await secretOf("alice");
    const open = async (user = "alice", secret = alices): Promise<Conversation> => {
      const place = { origin: daemon.origin, user, secret, server: "one", front };
      const opened = await Conversation.open({ ...place, version: "2025-11-25" });
      t.after(() => opened.close());
      return opened;
    };
    const first = await open();
    await first.request("list", "tools/list");
    await until(() => countOf(daemon, "one") === 1, "what it shows is kept");
    await daemon.cli(["stop", "alice"]);
    notes.holdStarts();

    // A poller of a list wakes nobody.
    await first.request("again", "tools/list");
    await first.request("prompts", "prompts/list");
    assert.equal(await stateOf(daemon, "one"), "stopped");

    const second = await open();
    await second.request("list", "tools/list");
    assert.equal(await stateOf(daemon, "one"), "starting");
    for (const id of ["hello", "list"]) assert.equal(textOf(second, id), textOf(first, id));

    // Nobody else is shown it.
    const { key } = await daemon.addUser("bob", "token-of-bob");
    const bobs = open("bob", key.secret);
    let isBobAnswered = false;
    void bobs.then(() => (isBobAnswered = true));
    await until(async () => (await stateOf(daemon, "one", "bob")) === "starting", "bob's starts");
    await second.request("fence", "tools/list");
    assert.equal(isBobAnswered, false);

    // The truth is another one by now, and whoever was shown something else hears of it.
    notes.showTools('[{"name":"note","inputSchema":{"type":"object"}}]');
    notes.letStart();
    const { params } = await second.heard("notifications/tools/list_changed");
    assert.equal(params, undefined);
    assert.match(await second.call("call", "note", { n: 1 }), /"token":"token-of-alice"/);
    assert.match(await (await bobs).call("call", "note", { n: 2 }), /"token":"token-of-bob"/);
    assert.deepEqual(second.methods(), ["notifications/tools/list_changed"]);
    const { result } = await second.request("new", "tools/list");
    assert.equal((result!["tools"] as object[]).length, 1);
  });
