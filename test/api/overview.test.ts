import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import type { History, MachineDoctor, Overview } from "../../src/api/panel-types.ts";
import type { Diagnosis, ToldRequest } from "../../src/api/types.ts";
import { figure } from "../helpers/figures.ts";
import { bearer, initialize, json } from "../helpers/fixtures.ts";
import { ask as askGateway } from "../helpers/raw-http.ts";
import { openRig, shortFolder } from "./rig.ts";

const HOUR = 3_600_000;

test("the overview tells who fails with doctor's words, and what ends soon", async (t) => {
  const { ask, daemon } = await openRig(t);
  const add = async (user: string): Promise<string> => {
    const { key } = (await ask("POST", "/api/users", { body: { user } })).body as {
      key: { secret: string };
    };
    return key.secret;
  };
  const [alice] = [await add("alice"), await add("bob"), await add("carol")];
  await ask("PUT", "/api/users/bob/token", { body: { token: "x", expiresAt: Date.now() + HOUR } });
  const before = (await ask("GET", "/api/overview")).body as unknown as Overview;
  assert.deepEqual([before.users, before.failing, before.calls.calls], [3, [], 0]);
  const body = initialize();
  const headers = [...bearer(alice), ...json];
  const path = "/u/alice/broken/mcp";
  const { status } = await askGateway(daemon.address.port, { method: "POST", path, headers, body });
  assert.equal(status, 502);
  // Whoever asked a moment ago gets that answer still.
  t.mock.method(
    performance,
    "now",
    (
      (real) => () =>
        real() + 3_000
    )(performance.now.bind(performance)),
  );
  const { failing, failingUsers, instances } = (await ask("GET", "/api/overview"))
    .body as unknown as Overview;
  const doctor = (await ask("GET", "/api/users/alice/doctor")).body;
  assert.equal(failingUsers, 1);
  const { code, cause, next } = doctor;
  assert.deepEqual(failing, [{ user: "alice", code, cause, next }]);
  const shown = (await ask("GET", "/api/users/alice?doctor=true")).body["doctor"] as Diagnosis;
  assert.deepEqual([shown.code, shown.cause, shown.next], [code, cause, next]);
  assert.equal("doctor" in (await ask("GET", "/api/users/alice")).body, false);
  assert.deepEqual(Object.values(instances), [1]);
  const told = (await ask("GET", "/api/requests?user=alice")).body as { requests?: ToldRequest[] };
  assert.deepEqual(
    told.requests?.map(({ user, server, status: of }) => [user, server, of]),
    [["alice", "broken", 502]],
  );
  assert.deepEqual((await ask("GET", "/api/requests?user=bob")).body, { requests: [] });
});

test("the daemon checks its machine and its config as doctor does, and writes nothing", async (t) => {
  const { ask, dataDir } = await openRig(t);
  const before = readdirSync(dataDir);
  const { ok, findings } = (await ask("GET", "/api/doctor")).body as unknown as MachineDoctor;
  assert.equal(ok, true);
  const names = findings.map(({ check }) => check);
  for (const name of ["daemon", "limits", "isolation of echo", "key", "files", "node", "gateway"])
    assert.ok(names.includes(name), name);
  assert.deepEqual(readdirSync(dataDir), before);
});

test("300 users and eight days of 1,000 instances are answered within 200 ms", async (t) => {
  const dir = shortFolder(t);
  const { daemon, dataDir } = await openRig(t, {}, dir);
  await daemon.close();
  const db = new Database(join(dataDir, "mcp-supervisor.db"));
  const minutes = 8 * 24 * 60 - 5;
  const last = Math.floor(Date.now() / 60_000) - 1;
  db.exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${minutes - 1})
    INSERT INTO history SELECT (${last} - i) * 60000, 0, 3, 1000, 0, 5, 2, 5e9, 300, i, 1, 5, 50 FROM n;
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 299)
    INSERT INTO users (name, state, created_at) SELECT 'user' || i, 'enabled', 1 FROM n`);
  db.close();
  const { ask } = await openRig(t, {}, dir);
  const took = async (path: string): Promise<number> => {
    const startedAt = performance.now();
    assert.equal((await ask("GET", path)).status, 200, path);
    return performance.now() - startedAt;
  };
  const week = `/api/history?since=${Date.now() - 168 * HOUR}`;
  for (const path of [week, "/api/users", "/api/overview", "/api/audit", "/api/doctor"]) {
    // Somebody else's test may have the core.
    const times = [await took(path), await took(path), await took(path)];
    figure(t, path, Math.min(...times), 200);
  }
  const { stepMs, points } = (await ask("GET", week)).body as unknown as History;
  assert.equal(stepMs, 28 * 60_000);
  assert.ok(points.length >= 360 && points.length <= 362, String(points.length));
  assert.deepEqual([points[9]!.ready, points[9]!.backingOff, points[9]!.errors], [1000, 5, 28]);
});

test("history is answered in no more points than were asked for", async (t) => {
  const { ask } = await openRig(t);
  const history = async (query: string): Promise<History> =>
    (await ask("GET", `/api/history${query}`)).body as unknown as History;
  const stepOf = async (hours: number, points: number): Promise<number> =>
    (await history(`?since=${Date.now() - hours * HOUR}&points=${points}`)).stepMs / 60_000;
  assert.deepEqual(
    [await stepOf(1, 360), await stepOf(24, 360), await stepOf(168, 360), await stepOf(9_999, 1)],
    [1, 4, 28, 8 * 24 * 60],
  );
  assert.deepEqual((await history("")).points, []);
  assert.equal((await ask("GET", "/api/history?points=9999")).status, 400);
});
