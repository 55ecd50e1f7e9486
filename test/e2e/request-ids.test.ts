import assert from "node:assert/strict";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { RequestStory } from "../../src/api/types.ts";
import { startForAlice } from "../helpers/alice.ts";
import { askControl, orderControl } from "../helpers/control.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { bearer, call, fixture, initialize, json, rpc } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

/** What becomes of bytes that are no request; the body of the answer. */
async function say(port: number, bytes: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port }, () => socket.write(bytes));
  const answer = await text(socket);
  return answer.slice(answer.indexOf("\r\n\r\n"));
}

const idIn = (body: string): string => /"requestId":"([^"]+)"/.exec(body)?.[1] ?? "";

test("whatever was refused, the id in the answer leads to the reason", async (t) => {
  const alice = await startForAlice(
    t,
    {
      echo: fixture("sse", "echo-sse"),
      web: fixture("http", "echo-sse"),
      stdio: { command: process.execPath, args: [EVERYTHING, "stdio"] },
      remote: { url: "http://127.0.0.1:9/mcp", headers: { Authorization: "Bearer ${token}" } },
    },
    {
      admin: { host: "127.0.0.1", port: 0 },
      limits: { bodyBytes: "1K", streamsPerUser: 2 },
    },
  );
  const { daemon, auth, post } = alice;
  const { port, admin } = daemon;
  const bob = bearer((await daemon.addUser("bob")).key.secret);
  const { stream, endpoint } = await alice.sse("echo");
  const { stream: bridged, endpoint: bridge } = await alice.sse("stdio");
  const wrong = ["authorization", "Bearer wrong"];
  const path = "/u/alice/mcp";
  const body = async (answer: Promise<{ body: string }>) => (await answer).body;
  const got = (where: string, headers: string[] = []) => body(ask(port, { path: where, headers }));
  const cases: [string, number, string, string][] = [
    ["no HTTP", 400, "REQUEST_INVALID", await say(port, "nonsense\r\n\r\n")],
    ["no JSON", 400, "REQUEST_INVALID", await body(post(path, "{"))],
    ["no key", 401, "KEY_MISSING", await got(path)],
    ["a wrong key", 401, "KEY_INVALID", await got(path, wrong)],
    ["another user's path", 403, "USER_MISMATCH", await got("/u/bob/sse", auth)],
    ["another host", 403, "HOST_REFUSED", await got(path, ["host", "evil.example"])],
    ["no such server", 404, "SERVER_NOT_FOUND", await got("/u/alice/nope/sse", auth)],
    ["no such path", 404, "NOT_FOUND", await got("/nothing", auth)],
    ["no such method", 405, "METHOD_NOT_ALLOWED", await body(post("/u/alice/sse", "{}"))],
    ["too much", 413, "BODY_TOO_LARGE", await body(post(path, "x".repeat(2000)))],
    ["an expectation", 417, "EXPECTATION_FAILED", await got(path, ["expect", "miracles"])],
    ["too many streams", 429, "TOO_MANY_STREAMS", await got("/u/alice/sse", auth)],
    [
      "no token",
      503,
      "TOKEN_MISSING",
      await body(
        ask(port, {
          method: "POST",
          path: "/u/bob/remote/mcp",
          headers: [...bob, ...json],
          body: initialize(),
        }),
      ),
    ],
    ["no admin", 401, "KEY_MISSING", await body(ask(admin!.port, { path: "/api/status" }))],
    [
      "no such admin",
      401,
      "KEY_INVALID",
      await body(ask(admin!.port, { path: "/", headers: wrong })),
    ],
    ["no HTTP to admins", 400, "REQUEST_INVALID", await say(admin!.port, "nonsense\r\n\r\n")],
    [
      "no such user",
      404,
      "USER_NOT_FOUND",
      (await askControl(daemon.socket, "GET", "/api/users/nobody")).body,
    ],
  ];
  await post(bridge, rpc("early", "server/discover"));
  const early = await until(() => /data: (.*"early".*)\n/.exec(bridged.text)?.[1], "an answer");
  cases.push(["an error on the stream", 400, "REQUEST_INVALID", early]);
  assert.equal((await post(endpoint, call("slow", "sleep", { ms: 60_000 }))).status, 202);
  process.kill((await alice.row("echo")).pid, "SIGKILL");
  const late = await until(() => /data: (.*"slow".*)\n/.exec(stream.text)?.[1], "an answer");
  cases.push(["a call whose child dies", 202, "INSTANCE_EXITED", late]);

  for (const [what, status, code, told] of cases) {
    const id = idIn(told);
    assert.notEqual(id, "", `${what}: ${told}`);
    const story = await orderControl<RequestStory>(daemon.socket, "GET", `/api/requests/${id}`);
    assert.equal(story.request?.code, code, `${what}: ${JSON.stringify(story)}`);
    assert.equal(story.request.status, status, what);
    assert.ok(story.request.message!.length > 10, what);
  }
  const { stdout } = await daemon.cli(["doctor", "--request", idIn(late)], { isForPeople: true });
  assert.match(stdout, /INSTANCE_EXITED: alice\/echo: the child was killed by SIGKILL/);
});

test("a request of an admin has the same line as one of the gateway", async (t) => {
  const alice = await startForAlice(
    t,
    { echo: fixture("http", "echo-sse") },
    { admin: { host: "127.0.0.1", port: 0 } },
  );
  const { daemon } = alice;
  const agent = ["user-agent", "test/1.0"];
  await ask(daemon.admin!.port, { path: "/api/users/alice/doctor?server=echo", headers: agent });
  await say(daemon.port, "nonsense\r\n\r\n");
  await daemon.cli(["stop", "alice", "--server", "echo"]);
  await ask(daemon.port, { path: "/health", headers: agent });
  const lines = await until(() => {
    const all = daemon.log().split("\n").filter(Boolean);
    const found = all
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ message }) => message === "request" || message === "control request");
    return found.some(({ request: what }) => what === "GET /health") ? found : undefined;
  }, "all are logged");
  const keys =
    "timestamp request status_code execution_time_ms remote_addr user_agent user server tool requestId";
  for (const line of lines)
    assert.deepEqual(
      keys.split(" ").filter((key) => !(key in line)),
      [],
      JSON.stringify(line),
    );
  const shown = lines.map((line) =>
    ["request", "remote_addr", "user", "server"].map((key) => line[key]).join(" "),
  );
  for (const expected of [
    // Who is not let in names nobody.
    "GET /api/users/alice/doctor 127.0.0.1  ",
    "POST /api/users/alice/stop  alice echo",
    "GET /health 127.0.0.1  ",
  ])
    assert.ok(shown.includes(expected), `${expected} in\n${shown.join("\n")}`);
  const unread = lines.find(({ code }) => code === "REQUEST_INVALID")!;
  assert.equal(unread["remote_addr"], "127.0.0.1");
});
