import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { AuditEntry } from "../../src/api/types.ts";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { bearer, call, fixture } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

async function entriesOf({ daemon }: Alice, ...args: string[]): Promise<AuditEntry[]> {
  return (await daemon.cli(["audit", ...args])).json<{ entries: AuditEntry[] }>().entries;
}

/** One over each transport, and one that does not start. */
const SERVERS = {
  events: fixture("sse", "echo-sse"),
  web: fixture("http", "echo-sse"),
  stdio: { command: process.execPath, args: [EVERYTHING, "stdio"] },
  broken: fixture("http", "crash-on-start"),
};

const shown = ({ kind, server, what, outcome }: AuditEntry): string =>
  [kind, server ?? "-", what, outcome].join(" ");

test("each call of a tool is one row with its outcome, whatever stands behind and in front", async (t) => {
  const alice = await startForAlice(t, SERVERS);
  const { daemon, auth } = alice;
  const issued = await daemon.cli(["key", "issue", "alice", "--label", "laptop"]);
  auth.splice(0, auth.length, ...bearer(issued.json<{ secret: string }>().secret));
  const secret = { text: "words-for-the-child-only" };
  const ways: string[] = [];
  for (const server of ["events", "web", "stdio"]) {
    const { stream, endpoint } = await alice.sse(server);
    await alice.post(endpoint, call("by-sse", "echo", { ...secret, message: secret.text }));
    await alice.post(endpoint, call("by-sse-too", "no-such-tool", secret));
    await until(
      () => ["by-sse", "by-sse-too"].every((id) => stream.text.includes(`"id":"${id}"`)),
      "both are answered",
      20_000,
    );
    const session = await alice.http(server);
    const path = `/u/alice/${server}/mcp`;
    await alice.post(path, call(1, "echo", { ...secret, message: secret.text }), session);
    await alice.post(path, call(2, "no-such-tool", secret), session);
    // server-everything says that a tool is unknown with a result, the fixture with an error.
    const failed = server === "stdio" ? "tool-error" : "error";
    for (const outcome of ["ok", failed, "ok", failed])
      ways.push(`call ${server} ${outcome === "ok" ? "echo" : "no-such-tool"} ${outcome}`);
  }
  const refused = await alice.post("/u/alice/broken/mcp", call(3, "echo"));
  assert.equal(refused.status, 502);
  const entries = await until(async () => {
    const found = (await entriesOf(alice, "alice")).filter(({ kind }) => kind === "call");
    return found.length === ways.length + 1 ? found : undefined;
  }, "each call has its row");
  const expected = [...ways, "call broken echo refused"];
  assert.deepEqual(entries.map(shown).toSorted(), expected.toSorted());
  for (const { user, requestId, who, durationMs, bytesIn } of entries) {
    assert.equal(user, "alice");
    assert.match(requestId, /^[0-9a-f]{8}-\w{7}$/);
    assert.equal(who, "laptop");
    assert.ok(durationMs! > 0 && bytesIn! > 60);
  }
  const refusals = entries.filter(({ outcome }) => outcome === "refused");
  assert.match(refusals[0]!.reason!, /exited with code 3/);
  for (const entry of entries) if (entry !== refusals[0]) assert.ok(entry.bytesOut! > 20);
  assert.doesNotMatch(JSON.stringify(entries), /words-for-the-child-only|token-of-alice|mcps_/);
});

test("no call of a tool goes by without a row of its own", async (t) => {
  const alice = await startForAlice(t, SERVERS);
  const slow = (id: string, server: string) =>
    server === "stdio"
      ? call(id, "trigger-long-running-operation", { duration: 2, steps: 1 })
      : call(id, "sleep", { ms: 1500 });
  const withoutId = JSON.stringify({ ...JSON.parse(call(0, "echo")), id: undefined });
  const underWay = async (server: string) =>
    (await instancesOf(alice.daemon)).find((row) => row.server === server)!.inFlight;
  const expected: string[] = [];
  for (const server of ["events", "web", "stdio"]) {
    const { endpoint } = await alice.sse(server);
    const session = await alice.http(server);
    const ways: [string, string, string[]][] = [
      ["sse", endpoint, []],
      ["http", `/u/alice/${server}/mcp`, session],
    ];
    for (const [front, path, headers] of ways) {
      const first = alice.post(path, slow("same", server), headers);
      await until(async () => (await underWay(server)) > 0, "the call is under way");
      const second = await alice.post(path, call("same", "echo", { message: "x" }), headers);
      assert.equal(second.status, 400, `${front} ${server}`);
      const twice = await alice.post(path, `[${call(1, "echo")},${call(1, "add")}]`, headers);
      assert.equal(twice.status, 400, `${front} ${server}: ${twice.body}`);
      assert.ok((await alice.post(path, withoutId, headers)).status < 300);
      await first;
      await until(async () => (await underWay(server)) === 0, "the call is answered");
      const tool = server === "stdio" ? "trigger-long-running-operation" : "sleep";
      expected.push(
        `call ${server} ${tool} ok`,
        `call ${server} echo refused`,
        `call ${server} echo refused`,
        `call ${server} add refused`,
        `call ${server} echo lost`,
      );
    }
  }
  const batch = `[${call(1, "echo")},${call(2, "sleep")},${call(3, "echo")}]`;
  assert.equal((await alice.post("/u/alice/broken/mcp", batch)).status, 502);
  for (const tool of ["echo", "sleep", "echo"]) expected.push(`call broken ${tool} refused`);
  const rows = await until(async () => {
    const found = (await entriesOf(alice, "alice")).filter(({ kind }) => kind === "call");
    return found.length >= expected.length ? found.map(shown) : undefined;
  }, "each call has its row");
  assert.deepEqual(rows.toSorted(), expected.toSorted());
});

test("orders of admins and refused requests are rows, and outlive the daemon", async (t) => {
  const alice = await startForAlice(
    t,
    { echo: fixture("http", "echo-sse") },
    { admin: { host: "127.0.0.1", port: 0 } },
  );
  const { daemon } = alice;
  const { cli } = daemon;
  const key = (await cli(["key", "issue", "alice", "--label", "laptop"])).json<{ id: string }>();
  await cli(["key", "revoke", key.id]);
  await cli(["token", "clear", "alice", "--server", "echo"]);
  await cli(["start", "alice"]);
  const good = readFileSync(daemon.configPath);
  const reloads = async () =>
    (await entriesOf(alice)).filter(({ what }) => what === "reload").length;
  for (const [index, file] of [good, Buffer.from("{}}")].entries()) {
    writeFileSync(daemon.configPath, file);
    process.kill(daemon.pid, "SIGHUP");
    await until(() => daemon.log().match(/config reloaded|stays in force/g)?.[index], "read");
  }
  writeFileSync(daemon.configPath, good);
  assert.equal(await reloads(), 2);
  await ask(daemon.port, { path: "/u/bob/mcp", headers: alice.auth });
  await ask(daemon.port, { path: "/u/alice/mcp", headers: ["authorization", "Bearer wrong"] });
  await ask(daemon.admin!.port, { method: "DELETE", path: "/api/users/alice" });
  const uid = `uid ${process.getuid!()}`;
  const expected = [
    `admin - user add ok ${uid} alice`,
    `admin - key issue ok ${uid} alice`,
    `admin - key revoke ${key.id} ok ${uid} alice`,
    `admin echo token clear TOKEN_NOT_FOUND ${uid} alice`,
    `admin - start ok ${uid} alice`,
    "admin - reload ok SIGHUP -",
    "admin - reload CONFIG_INVALID SIGHUP -",
    "refusal - GET /u/bob/mcp USER_MISMATCH - alice",
    "refusal - GET /u/alice/mcp KEY_INVALID - -",
  ];
  const rows = (entries: AuditEntry[]) =>
    entries.map((entry) => `${shown(entry)} ${entry.who ?? "-"} ${entry.user ?? "-"}`);
  assert.deepEqual(rows(await entriesOf(alice)), expected);
  assert.deepEqual(await entriesOf(alice, "--since", "2999-01-01T00:00:00Z"), []);
  assert.equal((await entriesOf(alice, "--since", "1h", "--limit", "2")).length, 2);
  const people = await cli(["audit", "alice"], { isForPeople: true });
  assert.match(people.stdout, /^TIME +KIND +USER .*\n.* admin +alice +- +user add +ok/);
  for (const wrong of ["last-week", "1x", ""])
    assert.equal((await cli(["audit", "--since", wrong])).code, 2, wrong);
  assert.equal((await cli(["audit", "--limit", "x"])).error().type, "REQUEST_INVALID");
});
