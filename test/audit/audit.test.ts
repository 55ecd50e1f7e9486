import assert from "node:assert/strict";
import { test } from "node:test";
import { Audit } from "../../src/audit/audit.ts";
import type { AuditRow } from "../../src/audit/audit.ts";
import { SupervisorError } from "../../src/errors.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import { openStore } from "../../src/store/store.ts";
import { temporaryStore } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

const entry = (changes: Partial<AuditRow> = {}): AuditRow => ({
  at: Date.now(),
  kind: "call",
  user: "alice",
  server: "mail",
  requestId: "life-0000001",
  who: "laptop",
  what: "search",
  outcome: "ok",
  reason: null,
  durationMs: 12.5,
  bytesIn: 100,
  bytesOut: 200,
  ...changes,
});

function logging() {
  let logged = "";
  const log = createLogger("info", { destination: { write: (line) => void (logged += line) } });
  return { log, logged: () => logged };
}

test("entries are in the database soon, after the daemon is gone too", async (t) => {
  const { store, file } = temporaryStore(t);
  const audit = new Audit({ rows: store.audit, scrubber: new Scrubber(), ...logging() });
  audit.add(entry());
  const other = openStore(file);
  t.after(() => other.close());
  await until(() => other.audit.find("life-0000001").length === 1, "it is written");
  assert.deepEqual({ ...other.audit.find("life-0000001")[0], at: 0 }, entry({ at: 0 }));
  audit.add(entry({ requestId: "life-0000002" }));
  audit.close();
  assert.equal(other.audit.find("life-0000002").length, 1);
});

test("entries are found by user, by time and by request, what waits among them", (t) => {
  const { store } = temporaryStore(t);
  const audit = new Audit({ rows: store.audit, scrubber: new Scrubber(), ...logging() });
  const now = Date.now();
  audit.add(entry({ at: now + 1000, requestId: "a" }));
  audit.add(entry({ at: now + 2000, requestId: "b", user: "bob" }));
  audit.add(entry({ at: now + 3000, requestId: "c", user: null, kind: "admin" }));
  audit.add(entry({ at: now + 4000, requestId: "a", outcome: "lost" }));
  const ids = (rows: AuditRow[]) => rows.map(({ requestId }) => requestId);
  assert.deepEqual(ids(audit.list({ limit: 10 })), ["a", "c", "b", "a"]);
  assert.deepEqual(ids(audit.list({ limit: 2 })), ["a", "c"]);
  assert.deepEqual(ids(audit.list({ limit: 10, user: "bob" })), ["b"]);
  assert.deepEqual(ids(audit.list({ limit: 10, since: now + 3000 })), ["a", "c"]);
  assert.deepEqual(ids(audit.list({ limit: 10, outcome: "lost" })), ["a"]);
  assert.deepEqual(
    audit.find("a").map(({ outcome }) => outcome),
    ["ok", "lost"],
  );
});

test("the table keeps a bounded number of rows for a bounded time", (t) => {
  const { store } = temporaryStore(t);
  const old = Date.now() - 91 * 86_400_000;
  store.audit.insertAll([entry({ at: old, requestId: "old" }), entry({ requestId: "new" })]);
  const audit = new Audit({ rows: store.audit, scrubber: new Scrubber(), ...logging() });
  audit.add(entry({ requestId: "newer" }));
  const ids = audit.list({ limit: 10 }).map(({ requestId }) => requestId);
  assert.deepEqual(ids, ["newer", "new"]);
  store.audit.insertAll(Array.from({ length: 3000 }, (_, i) => entry({ requestId: `r${i}` })));
  store.audit.prune(1000, old);
  const kept = store.audit.list({ limit: 10_000 });
  assert.equal(kept.length, 1000);
  assert.equal(kept[0]!.requestId, "r2999");
  store.audit.prune(1000, Date.now() + 1);
  assert.deepEqual(store.audit.list({ limit: 10 }), []);
});

test("secrets and text without end do not get into the table", (t) => {
  const { store } = temporaryStore(t);
  const scrubber = new Scrubber();
  scrubber.set("alice/mail", "tok_0123456789");
  const audit = new Audit({ rows: store.audit, scrubber, ...logging() });
  const text = `tok_0123456789 mcps_${"a".repeat(36)} ${"x".repeat(10_000)}`;
  audit.add(entry({ what: text, reason: text }));
  const [{ what, reason } = entry()] = audit.list({ limit: 1 });
  assert.match(what, /^\[secret\] \[secret\] x+$/);
  assert.ok(what.length <= 200 && reason!.length <= 400);
});

test("a disk that is full costs no request, and what waited is written when there is room", (t) => {
  const { store } = temporaryStore(t);
  let isFull = true;
  const rows = {
    insertAll(batch: readonly AuditRow[]) {
      if (isFull) throw new SupervisorError("STORE_FAILED", "the database: the disk is full");
      store.audit.insertAll(batch);
    },
    list: (filter: Parameters<typeof store.audit.list>[0]) => store.audit.list(filter),
    callsOf: () => [],
    find: (id: string) => store.audit.find(id),
    prune: () => {},
  };
  const { log, logged } = logging();
  const audit = new Audit({ rows, scrubber: new Scrubber(), log });
  for (let i = 0; i < 12_000; i += 1) audit.add(entry({ requestId: `r${i}` }));
  assert.equal(audit.list({ limit: 20_000 }).length, 0);
  audit.list({ limit: 1 });
  assert.equal(logged().match(/cannot be written/g)?.length, 1);
  assert.deepEqual([audit.waiting, audit.dropped], [10_000, 2000]);
  isFull = false;
  assert.equal(audit.list({ limit: 20_000 }).length, 10_000);
});
