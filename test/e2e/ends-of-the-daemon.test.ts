import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { bearer, call, initialize, json } from "../helpers/fixtures.ts";
import { heldListener } from "../helpers/held-listener.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";
import { typescriptClients } from "../survive/sdk-clients.ts";

const SERVERS = { relayed: echoServer("http"), bridged: echoServer("sse") };
const CONFIG = { servers: SERVERS, defaultServer: "bridged" };
const echo = (id: string) => call(id, "echo", { message: id });

test("sessions go on with the next daemon after SIGKILL and SIGTERM, and nobody is refused meanwhile", async (t) => {
  const { fd: listenFd, port } = heldListener(t);
  const life = { listenFd, mayOrphan: true };
  const { daemon, auth, http } = await startForAlice(t, SERVERS, CONFIG, life);
  const { dir } = daemon;
  const sessions = { relayed: await http("relayed"), bridged: await http("bridged") };
  const clients = typescriptClients();
  const secret = auth[1]!.replace("Bearer ", "");
  for (const client of clients)
    await client.open({
      url: (front) => `http://127.0.0.1:${port}/u/alice/bridged/${front}`,
      headers: { authorization: `Bearer ${secret}` },
      patienceMs: 10_000,
    });
  t.after(async () => {
    for (const client of clients) await client.close();
  });
  let running = daemon;
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    await running.stop(signal);
    // The port takes who comes while no daemon is there.
    const early = Object.entries(sessions).map(async ([server, session]) => {
      const path = `/u/alice/${server}/mcp`;
      const headers = [...auth, ...json, ...session];
      return await ask(port, { method: "POST", path, headers, body: echo(`${signal}-${server}`) });
    });
    running = await startDaemon(t, { ...life, dir, config: CONFIG });
    for (const { status, body } of await Promise.all(early)) {
      assert.equal(status, 200, body);
      assert.match(body, new RegExp(`"text":"Echo: ${signal}-`));
    }
    for (const client of clients) {
      const works = async (): Promise<boolean> =>
        await client.call("echo", { message: signal }).then(
          (said) => said === `Echo: ${signal}`,
          () => false,
        );
      await until(works, `${client.name} goes on after ${signal}`, 20_000);
    }
  }
  assert.equal(running.log().includes('"code":"SESSION_NOT_FOUND"'), false);
});

test("a session of another key, one that has ended, and a made up one are 404 on every verb, without a key 401", async (t) => {
  const { daemon, auth, http } = await startForAlice(t, SERVERS, CONFIG);
  const other = (await daemon.cli(["key", "issue", "alice"])).json<{
    id: string;
    secret: string;
  }>();
  const bob = await daemon.addUser("bob");
  for (const server of ["relayed", "bridged"]) {
    const path = `/u/alice/${server}/mcp`;
    const [header = "", id = ""] = await http(server);
    const [, ended = ""] = await http(server);
    const headers = (key: readonly string[], of: string) => [...key, ...json, header, of];
    const done = await ask(daemon.port, { method: "DELETE", path, headers: headers(auth, ended) });
    assert.equal(done.status, 200, done.body);
    for (const method of ["POST", "GET", "DELETE"]) {
      const status = async (key: readonly string[], of: string, at = path) => {
        const body = method === "POST" ? { body: echo("x") } : {};
        const request = { method, path: at, headers: headers(key, of), ...body };
        return (await ask(daemon.port, request)).status;
      };
      const statuses = [
        await status(bearer(other.secret), id),
        await status(bearer(bob.key.secret), id, path.replace("alice", "bob")),
        await status(auth, ended),
        await status(auth, "made-up"),
        await status(auth, "x".repeat(1000)),
        await status([], id),
      ];
      assert.deepEqual(statuses, [404, 404, 404, 404, 404, 401], `${method} ${path}`);
    }
    const mine = { method: "POST", path, headers: headers(auth, id), body: echo("still") };
    assert.equal((await ask(daemon.port, mine)).status, 200);
    const broken = async (key: readonly string[], of: string) =>
      (await ask(daemon.port, { ...mine, headers: headers(key, of), body: "{" })).status;
    assert.deepEqual(
      [await broken([], "made-up"), await broken(auth, "made-up"), await broken(auth, id)],
      [401, 404, 400],
      `a body that is no JSON, to ${path}`,
    );
  }
  const lost = "/u/alice/bridged/messages?session_id=made-up";
  for (const [key, status] of [
    [[], 401],
    [auth, 404],
  ] as const) {
    const request = { method: "POST", path: lost, headers: [...key], body: "{" };
    assert.equal((await ask(daemon.port, request)).status, status, lost);
  }
});

test("over HTTP with SSE a stream that nothing is known of is told to begin anew", async (t) => {
  const { daemon, auth, post } = await startForAlice(t, SERVERS, CONFIG);
  const stream = await EventStream.open(daemon.port, { path: "/u/alice/sse", headers: auth });
  t.after(() => stream.close());
  const endpoint = await until(() => stream.endpoint, "the endpoint has come");
  assert.equal((await post(endpoint, echo("1"))).status, 202);
  await until(() => stream.messages().length > 0, "it is answered");
  const { error } = stream.messages()[0] as { error: { message: string } };
  assert.match(error.message, /connect anew/);
  assert.equal((await post(endpoint, initialize("hello"))).status, 202);
  await until(() => stream.messages().some(({ id }) => id === "hello"), "it has begun");
});
