import assert from "node:assert/strict";
import { test } from "node:test";
import { bearer, initialize, json } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";
import { openRig } from "./rig.ts";

interface Row {
  id: string;
  server: string;
  front: string;
  client: { name: string; version: string } | null;
  attached: boolean;
  generation: number | null;
  inFlight: number;
}

test("sessions are listed with what is known of each, and ended by their handle, after which they are 404", async (t) => {
  const rig = await openRig(t);
  const { port } = rig.daemon.address;
  const added = await rig.ask("POST", "/api/users", { body: { user: "alice" } });
  const { secret } = added.body["key"] as { secret: string };
  const headers = [...bearer(secret), ...json];
  const path = "/u/alice/echo/mcp";
  const begun = await ask(port, { method: "POST", path, headers, body: initialize() });
  const id = String(begun.headers["mcp-session-id"]);
  const stream = await EventStream.open(port, { path: "/u/alice/echo/sse", headers });
  t.after(() => stream.close());
  const endpoint = await until(() => stream.endpoint, "the endpoint has come");
  await ask(port, { method: "POST", path: endpoint, headers, body: initialize() });
  await until(() => stream.messages().length > 0, "it is answered");
  const list = async () =>
    (await rig.ask("GET", "/api/users/alice/sessions")).body["sessions"] as Row[];

  const rows = await list();
  assert.deepEqual(
    rows.map(({ server, front, client, attached, inFlight }) => [
      server,
      front,
      client?.name,
      attached,
      inFlight,
    ]),
    [
      ["echo", "sse", "test", true, 0],
      ["echo", "http", "test", false, 0],
    ],
  );
  const handles = (await rig.ask("GET", "/api/sessions")).body["sessions"] as string[];
  assert.deepEqual(handles.toSorted(), rows.map((row) => row.id).toSorted());
  assert.doesNotMatch(JSON.stringify(rows), new RegExp(id));

  for (const row of rows) {
    const ended = await rig.ask("DELETE", `/api/sessions/${row.id}`);
    assert.deepEqual(
      [ended.status, ended.body],
      [200, { id: row.id, user: "alice", server: "echo" }],
    );
    assert.equal((await rig.ask("DELETE", `/api/sessions/${row.id}`)).status, 404);
  }
  assert.deepEqual(await list(), []);
  await until(() => stream.isEnded, "its stream has ended");
  for (const method of ["GET", "POST", "DELETE"]) {
    const of = { method, path, headers: [...headers, "mcp-session-id", id] };
    const { status } = await ask(port, method === "POST" ? { ...of, body: initialize() } : of);
    assert.equal(status, 404, method);
  }
  const audit = (await rig.ask("GET", "/api/audit")).body["entries"] as { what: string }[];
  const orders = audit.filter(({ what }) => what.startsWith("session end"));
  assert.deepEqual(
    orders.slice(0, 2).map(({ what }) => what.length),
    [20, 20],
  );
  for (const bad of ["nothing", "0", "00000000"])
    assert.equal((await rig.ask("DELETE", `/api/sessions/${bad}`)).status, 404, bad);
});
