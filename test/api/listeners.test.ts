import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "../helpers/until.ts";
import { openRig, shortFolder } from "./rig.ts";

const mode = (path: string): number => statSync(path).mode & 0o777;
const ADMIN = { admin: { host: "127.0.0.1", port: 0 } };

test("the socket opens for the owner only, and the umask is as before", async (t) => {
  const before = process.umask();
  const { socket, ask } = await openRig(t);
  assert.equal(mode(socket), 0o600);
  assert.equal(process.umask(), before);
  assert.equal((await ask("GET", "/api/users")).status, 200);
});

test("with a control group the socket is the group's too", async (t) => {
  const gid = process.getegid?.() ?? 0;
  const group = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((line) => line.split(":")[2] === String(gid));
  assert.ok(group !== undefined);
  const dir = shortFolder(t);
  const controlSocket = join(dir, "elsewhere.sock");
  await openRig(t, { controlSocket, controlGroup: group.split(":")[0] });
  assert.equal(mode(controlSocket), 0o660);
  assert.equal(statSync(controlSocket).gid, gid);
});

test("an unknown control group is a config problem and leaves nothing open", async (t) => {
  const dir = shortFolder(t);
  await assert.rejects(openRig(t, { controlGroup: "no-such-group" }, dir), {
    code: "CONFIG_INVALID",
    details: ["controlGroup: there is no group no-such-group on this machine"],
  });
  assert.equal(existsSync(join(dir, "data", "control.sock")), false);
  await openRig(t, {}, dir);
});

test("a stale socket is replaced, one that answers and a file are not", async (t) => {
  const dir = shortFolder(t);
  const controlSocket = join(dir, "c.sock");
  const other = createServer().listen(controlSocket);
  await new Promise((resolve) => other.once("listening", resolve));
  await assert.rejects(openRig(t, { controlSocket }, dir), {
    code: "LISTEN_FAILED",
    message: /another program listens on/,
  });
  assert.ok(existsSync(controlSocket), "the other program's socket stays");
  await new Promise((resolve) => other.close(resolve));

  writeFileSync(controlSocket, "mine");
  await assert.rejects(openRig(t, { controlSocket }, dir), { code: "LISTEN_FAILED" });
  assert.equal(readFileSync(controlSocket, "utf8"), "mine");
});

test("the first start makes the admin token, and later ones keep it", async (t) => {
  const dir = shortFolder(t);
  const { daemon, dataDir } = await openRig(t, {}, dir);
  const path = join(dataDir, "admin.token");
  const token = readFileSync(path, "utf8");
  assert.match(token, /^[\w-]{43}\n$/);
  assert.equal(mode(path), 0o400);
  await daemon.close();
  await openRig(t, {}, dir);
  assert.equal(readFileSync(path, "utf8"), token);
});

test("an admin token that others can read, or that is none, is refused", async (t) => {
  const dir = shortFolder(t);
  const { daemon, dataDir } = await openRig(t, {}, dir);
  await daemon.close();
  const path = join(dataDir, "admin.token");
  chmodSync(path, 0o440);
  await assert.rejects(openRig(t, {}, dir), { code: "KEY_FILE_REFUSED", message: /mode 440/ });
  chmodSync(path, 0o600);
  writeFileSync(path, "");
  await assert.rejects(openRig(t, {}, dir), { code: "KEY_FILE_REFUSED" });
});

test("TCP wants the admin token, and answers as the socket does", async (t) => {
  const { daemon, dataDir, ask } = await openRig(t, ADMIN);
  const tcp = daemon.adminAddress;
  assert.ok(tcp !== null && tcp.port > 0);
  const token = readFileSync(join(dataDir, "admin.token"), "utf8").trim();
  const added = await ask("POST", "/api/users", { body: { user: "alice" } });
  const { secret } = added.body["key"] as { secret: string };

  const without = await ask("GET", "/api/users", { tcp });
  assert.deepEqual([without.status, without.error.type], [401, "KEY_MISSING"]);
  assert.match(String(without.headers["www-authenticate"]), /^Bearer/);
  for (const authorization of [
    `Bearer ${token}x`,
    `Bearer ${token.slice(0, -1)}`,
    `Bearer ${token.toUpperCase()}`,
    `Bearer ${secret}`,
    `Basic ${token}`,
    "Bearer",
    "Bearer ",
    `Bearer ${token} ${token}`,
    token,
  ]) {
    const wrong = await ask("GET", "/api/users", { tcp, headers: { authorization } });
    assert.deepEqual([wrong.status, wrong.error.type], [401, "KEY_INVALID"], authorization);
    assert.ok(!wrong.text.includes("alice"));
  }
  const inQuery = await ask("GET", `/api/users?token=${token}`, { tcp });
  assert.equal(inQuery.status, 401);

  const headers = { authorization: `Bearer ${token}` };
  const right = await ask("GET", "/api/users", { tcp, headers });
  assert.equal(right.status, 200);
  assert.deepEqual(right.body, (await ask("GET", "/api/users")).body);
  const issued = await ask("POST", "/api/users/alice/keys", { tcp, headers, body: {} });
  assert.equal(issued.status, 201);
});

test("TCP refuses a page that calls across, or by another name, even with the token", async (t) => {
  const { daemon, dataDir, ask } = await openRig(t, {
    ...ADMIN,
    allowedHosts: ["admin.example.com"],
  });
  const tcp = daemon.adminAddress ?? assert.fail();
  const authorization = `Bearer ${readFileSync(join(dataDir, "admin.token"), "utf8").trim()}`;
  const statusWith = async (headers: Record<string, string>): Promise<[number, string?]> => {
    const answered = await ask("GET", "/api/users", {
      tcp,
      headers: { authorization, ...headers },
    });
    return answered.status === 200 ? [200] : [answered.status, answered.error.type];
  };
  assert.deepEqual(await statusWith({ host: "evil.example" }), [403, "HOST_REFUSED"]);
  assert.deepEqual(await statusWith({ origin: "http://evil.example" }), [403, "ORIGIN_REFUSED"]);
  assert.deepEqual(await statusWith({ origin: "null" }), [403, "ORIGIN_REFUSED"]);
  assert.deepEqual(await statusWith({ host: "admin.example.com:8041" }), [200]);
  const own = `127.0.0.1:${tcp.port}`;
  assert.deepEqual(await statusWith({ origin: `http://${own}` }), [200]);
  assert.deepEqual(await statusWith({ origin: "http://127.0.0.1:9999" }), [403, "ORIGIN_REFUSED"]);
  assert.deepEqual(await statusWith({ origin: `https://${own}` }), [403, "ORIGIN_REFUSED"]);
  assert.deepEqual(await statusWith({ host: "203.0.113.5:8041" }), [200]);
  assert.deepEqual(await statusWith({ host: "203.0.113.5:8041", origin: `http://${own}` }), [
    403,
    "ORIGIN_REFUSED",
  ]);
});

test("on TCP a body that announces too much is refused before it comes, and one that stands still is over", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const { daemon, dataDir, socket } = await openRig(t, ADMIN);
  const { port } = daemon.adminAddress ?? assert.fail();
  const token = readFileSync(join(dataDir, "admin.token"), "utf8").trim();
  const head = (framing: string) =>
    `POST /api/users HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n${framing}\r\n\r\n`;
  const say = (where: { port: number } | { path: string }, words: string) => {
    const client = { text: "", isOver: false };
    const connection = connect(where).setEncoding("latin1");
    t.after(() => connection.destroy());
    connection.on("data", (text: string) => (client.text += text));
    connection.on("close", () => (client.isOver = true)).on("error", () => undefined);
    connection.write(words);
    return client;
  };
  for (const where of [{ port }, { path: socket }]) {
    const large = say(where, head("content-length: 5000000000"));
    await until(() => large.text.includes("BODY_TOO_LARGE"), "it is refused");
    const chunked = say(
      where,
      `${head("transfer-encoding: chunked")}200000\r\n${"x".repeat(0x120000)}`,
    );
    await until(() => chunked.text.includes("BODY_TOO_LARGE"), "it is refused");
  }
  const still = say({ port }, `${head("content-length: 100")}{"`);
  // The listener looks every five seconds, and the daemon has to have read the head.
  await until(() => {
    t.mock.timers.tick(5_000);
    return still.text.includes("REQUEST_TIMEOUT") && still.isOver;
  }, "it is over");
  assert.match(still.text, /^HTTP\/1\.1 408 /);
});

test("an admin port that is taken is one clear sentence and leaves nothing open", async (t) => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const dir = shortFolder(t);
  await assert.rejects(openRig(t, { admin: { host: "127.0.0.1", port } }, dir), {
    code: "LISTEN_FAILED",
    message: `cannot listen on 127.0.0.1:${port}: something else listens there`,
  });
  assert.equal(existsSync(join(dir, "data", "control.sock")), false);
  await openRig(t, {}, dir);
});

test("a link in the place of the socket is not followed", async (t) => {
  const dir = shortFolder(t);
  const target = join(dir, "precious");
  writeFileSync(target, "keep");
  const controlSocket = join(dir, "c.sock");
  symlinkSync(target, controlSocket);
  await assert.rejects(openRig(t, { controlSocket }, dir), { code: "LISTEN_FAILED" });
  assert.equal(readFileSync(target, "utf8"), "keep");
});
