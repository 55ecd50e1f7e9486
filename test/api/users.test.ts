import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openStore } from "../../src/store/store.ts";
import { EventStream, ask as askGateway } from "../helpers/raw-http.ts";
import { bearer } from "../helpers/fixtures.ts";
import { until } from "../helpers/until.ts";
import { openRig, shortFolder } from "./rig.ts";
import type { Rig } from "./rig.ts";

async function addUser({ ask }: Rig, user: string, token?: string): Promise<string> {
  const added = await ask("POST", "/api/users", { body: { user, token } });
  assert.equal(added.status, 201, added.text);
  return (added.body["key"] as { secret: string }).secret;
}

const openSse = async ({ daemon }: Rig, user: string, secret: string): Promise<EventStream> => {
  const stream = await EventStream.open(daemon.address.port, {
    path: `/u/${user}/sse`,
    headers: bearer(secret),
  });
  assert.equal(stream.status, 200);
  return stream;
};

const gatewayStatus = async ({ daemon }: Rig, user: string, secret: string): Promise<number> => {
  const path = `/u/${user}/sse`;
  return (await askGateway(daemon.address.port, { path, headers: bearer(secret) })).status;
};

test("a revoked key's streams end at once, another key's of the same user go on", async (t) => {
  const rig = await openRig(t);
  const first = await addUser(rig, "alice");
  const issued = await rig.ask("POST", "/api/users/alice/keys", { body: {} });
  const { id, secret } = issued.body as { id: string; secret: string };
  const kept = await openSse(rig, "alice", first);
  const ended = await openSse(rig, "alice", secret);
  const revoked = await rig.ask("DELETE", `/api/keys/${id}`);
  assert.deepEqual([revoked.status, revoked.body], [200, { id, user: "alice" }]);
  await until(() => ended.isEnded, "the stream of the revoked key ends");
  assert.equal(kept.isEnded, false);
  assert.equal(await gatewayStatus(rig, "alice", secret), 401);
  kept.close();
});

test("a disabled user is out at once with the child, and in again when enabled", async (t) => {
  const rig = await openRig(t);
  const secret = await addUser(rig, "alice");
  const stream = await openSse(rig, "alice", secret);
  await rig.ask("POST", "/api/users/alice/start");
  const disabled = await rig.ask("POST", "/api/users/alice/disable");
  assert.equal(disabled.body["state"], "disabled");
  await until(() => stream.isEnded, "the stream ends");
  assert.equal(await gatewayStatus(rig, "alice", secret), 401);
  const isDown = async (): Promise<boolean> => {
    const { instances } = (await rig.ask("GET", "/api/status?user=alice")).body as {
      instances: { state: string }[];
    };
    return instances.every(({ state }) => state === "stopped");
  };
  await until(isDown, "the child is stopped");
  for (const verb of ["start", "restart"]) {
    const refused = await rig.ask("POST", `/api/users/alice/${verb}`);
    assert.deepEqual([refused.status, refused.error.type], [409, "USER_DISABLED"]);
  }
  assert.equal((await rig.ask("POST", "/api/users/alice/stop")).status, 200);
  await rig.ask("POST", "/api/users/alice/enable");
  assert.equal(await gatewayStatus(rig, "alice", secret), 200);
});

test("private homes are shown with their size, and kept where the admin says so", async (t) => {
  const rig = await openRig(t);
  await addUser(rig, "alice");
  await rig.ask("POST", "/api/users/alice/start");
  const [{ server }] = (await rig.ask("GET", "/api/users/alice")).body["homes"] as [
    { server: string },
  ];
  const home = join(rig.dataDir, "homes/alice", server);
  writeFileSync(join(home, "mailbox"), "x".repeat(100_000));
  const shown = await rig.ask("GET", "/api/users/alice");
  const [{ bytes }] = shown.body["homes"] as [{ bytes: number }];
  assert.ok(bytes >= 100_000 && bytes < 1_000_000, `${bytes} bytes`);

  assert.equal((await rig.ask("DELETE", "/api/users/alice?keepData=perhaps")).status, 400);
  const kept = await rig.ask("DELETE", "/api/users/alice?keepData=true");
  assert.equal((kept.body["removed"] as { keptHomes: number }).keptHomes, 1, kept.text);
  assert.ok(existsSync(join(home, "mailbox")));
  await addUser(rig, "alice");
  assert.ok(existsSync(join(home, "mailbox")), "the next one of this name gets it");
  const removed = await rig.ask("DELETE", "/api/users/alice");
  assert.equal((removed.body["removed"] as { homes: number }).homes, 1);
  assert.equal(existsSync(home), false);
});

test("a removed user's keys, streams, child, tokens and homes are gone, and counted", async (t) => {
  const rig = await openRig(t);
  const secret = await addUser(rig, "alice", "general");
  await rig.ask("PUT", "/api/users/alice/token?server=other", { body: { token: "own" } });
  await rig.ask("POST", "/api/users/alice/keys");
  await addUser(rig, "bob", "bobs");
  const stream = await openSse(rig, "alice", secret);
  await rig.ask("POST", "/api/users/alice/start");
  const started = await rig.ask("POST", "/api/users/alice/start?server=other");
  const [{ pid }] = started.body["instances"] as [{ pid: number }];
  const homes = join(rig.dataDir, "homes");
  assert.ok(existsSync(join(homes, "alice")));

  const removed = await rig.ask("DELETE", "/api/users/alice");
  assert.equal(removed.status, 200, removed.text);
  assert.deepEqual(removed.body, {
    user: "alice",
    removed: { keys: 2, sessions: 1, instances: 2, tokens: 2, homes: 2, keptHomes: 0 },
  });
  await until(() => stream.isEnded, "the stream ends");
  assert.equal(existsSync(`/proc/${pid}`), false);
  assert.equal(existsSync(join(homes, "alice")), false);
  assert.equal(await gatewayStatus(rig, "alice", secret), 401);
  assert.equal((await rig.ask("GET", "/api/users/alice")).status, 404);
  const { instances } = (await rig.ask("GET", "/api/status")).body as { instances: [] };
  assert.deepEqual(instances, []);

  const bob = await rig.ask("GET", "/api/users/bob");
  assert.equal((bob.body["tokens"] as []).length, 1);
  await addUser(rig, "alice");
  const again = await rig.ask("GET", "/api/users/alice");
  assert.deepEqual(
    [(again.body["tokens"] as []).length, (again.body["keys"] as []).length],
    [0, 1],
  );
});

test("a home is deleted whatever the child did to it, and nothing it points to", async (t) => {
  const rig = await openRig(t);
  await addUser(rig, "alice");
  const home = join(rig.dataDir, "homes", "alice", "echo");
  mkdirSync(join(home, "cache", "deep"), { recursive: true });
  writeFileSync(join(home, "cache", "deep", "file"), "x");
  const outside = shortFolder(t);
  writeFileSync(join(outside, "precious"), "keep");
  symlinkSync(outside, join(home, "link"));
  chmodSync(join(home, "cache", "deep"), 0o000);
  chmodSync(join(home, "cache"), 0o500);
  const removed = await rig.ask("DELETE", "/api/users/alice");
  assert.equal(removed.status, 200, removed.text);
  assert.equal(existsSync(join(rig.dataDir, "homes", "alice")), false);
  assert.equal(readFileSync(join(outside, "precious"), "utf8"), "keep");
});

test("two removals of one user at once are one removal", async (t) => {
  const rig = await openRig(t, { stopTimeout: "500ms" });
  await addUser(rig, "alice");
  // Its child takes its time to end, so the second call comes in the middle of the first.
  await rig.ask("POST", "/api/users/alice/start?server=stubborn");
  const first = rig.ask("DELETE", "/api/users/alice");
  await until(
    async () => (await rig.ask("GET", "/api/users/alice")).body["state"] === "removing",
    "the removal has begun",
  );
  const second = rig.ask("DELETE", "/api/users/alice");
  assert.deepEqual((await second).body, (await first).body);
  assert.equal((await first).status, 200);
});

test("a user on the way out cannot be changed or started any more", async (t) => {
  const rig = await openRig(t);
  await addUser(rig, "alice");
  // A home that cannot be deleted keeps the removal from its end.
  mkdirSync(join(rig.dataDir, "homes"), { recursive: true });
  writeFileSync(join(rig.dataDir, "homes", "alice"), "in the way");
  const stuck = await rig.ask("DELETE", "/api/users/alice");
  assert.equal(stuck.status, 500, stuck.text);
  assert.equal(stuck.error.type, "STORE_FAILED");
  const shown = await rig.ask("GET", "/api/users/alice");
  assert.deepEqual([shown.body["state"], shown.body["keys"]], ["removing", []]);
  const attempts: [string, string, object?][] = [
    ["PUT", "/token", { token: "t" }],
    ["POST", "/keys"],
    ["POST", "/start"],
    ["POST", "/enable"],
    ["POST", "/disable"],
  ];
  for (const [method, path, body] of attempts) {
    const refused = await rig.ask(method, `/api/users/alice${path}`, { body });
    assert.deepEqual([refused.status, refused.error.type], [404, "USER_NOT_FOUND"], path);
  }
  const taken = await rig.ask("POST", "/api/users", { body: { user: "alice" } });
  assert.equal(taken.error.type, "USER_EXISTS");
});

test("a removal that was cut short is finished by the next start", async (t) => {
  const dir = shortFolder(t);
  const rig = await openRig(t, {}, dir);
  await addUser(rig, "alice", "secret");
  await addUser(rig, "bob", "secret");
  await rig.ask("POST", "/api/users/alice/start");
  await rig.daemon.close();

  const store = openStore(join(rig.dataDir, "mcp-supervisor.db"));
  const row = store.users.find("alice") ?? assert.fail();
  store.users.setState(row.id, "removing");
  store.close();
  assert.ok(existsSync(join(rig.dataDir, "homes", "alice")));

  const next = await openRig(t, {}, dir);
  const { users } = (await next.ask("GET", "/api/users")).body as { users: { user: string }[] };
  assert.deepEqual(
    users.map(({ user }) => user),
    ["bob"],
  );
  assert.equal(existsSync(join(rig.dataDir, "homes", "alice")), false);
  assert.match(next.logged(), /finished a removal that was cut short/);
});

test("a key that has expired opens nothing", async (t) => {
  const rig = await openRig(t);
  await addUser(rig, "alice");
  const expiresAt = Date.now() + 60_000;
  const issued = await rig.ask("POST", "/api/users/alice/keys", { body: { expiresAt } });
  const { secret } = issued.body as { secret: string };
  assert.equal(await gatewayStatus(rig, "alice", secret), 200);
  t.mock.method(Date, "now", () => expiresAt);
  assert.equal(await gatewayStatus(rig, "alice", secret), 401);
});
