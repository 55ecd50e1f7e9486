import assert from "node:assert/strict";
import { test } from "node:test";
import { openSupervisor, ref, targetOf } from "../helpers/supervisor.ts";

const SERVERS = {
  drawing: {
    url: "http://localhost:3001/${user}/sse",
    headers: { Authorization: "Bearer ${token}", "X-User": "${user}" },
  },
  open: { url: "https://example.com/mcp" },
};

test("a remote is ready at once, without a process or a port, with the user and token filled in", async (t) => {
  const { supervisor, tokens } = openSupervisor(t, SERVERS);
  tokens.set("alice/drawing", "alice-token");
  const live = await supervisor.ensure(ref("alice", "drawing"));
  const target = targetOf(live);
  assert.equal(live.pid, null);
  assert.equal(target.isRemote, true);
  assert.equal(target.transport, "sse");
  assert.equal(target.url.href, "http://localhost:3001/alice/sse");
  assert.deepEqual(target.headers, { Authorization: "Bearer alice-token", "X-User": "alice" });
  const [row] = await supervisor.status();
  assert.deepEqual(
    [row?.state, row?.pid, row?.port, row?.rssBytes, row?.isolation],
    ["ready", null, null, null, null],
  );
});

test("a remote that needs a token refuses a user without one, and one that needs none does not", async (t) => {
  const { supervisor, tokens } = openSupervisor(t, SERVERS);
  const drawing = ref("alice", "drawing");
  await assert.rejects(supervisor.ensure(drawing), {
    code: "TOKEN_MISSING",
    status: 503,
    message: "alice/drawing: no token is set",
  });
  assert.equal((await supervisor.ensure(ref("alice", "open"))).target.transport, "http");
  tokens.set("alice/drawing", "late");
  const live = await supervisor.ensure(drawing);
  assert.equal(targetOf(live).headers["Authorization"], "Bearer late");
});

test("a new token drops the generation that had the old one", async (t) => {
  const { supervisor, tokens } = openSupervisor(t, SERVERS);
  const drawing = ref("alice", "drawing");
  tokens.set("alice/drawing", "old");
  const first = await supervisor.ensure(drawing);
  tokens.set("alice/drawing", "new");
  await supervisor.stop({ user: "alice" }, "token changed");
  assert.deepEqual(await first.exited, { reason: "token changed", exit: null });
  const second = await supervisor.ensure(drawing);
  assert.equal(second.generation, 2);
  assert.equal(targetOf(second).headers["Authorization"], "Bearer new");
  assert.equal(targetOf(first).headers["Authorization"], "Bearer old");
});

test("nothing is begun for a user who may not use the server, whoever kept hold of it", async (t) => {
  const { supervisor } = openSupervisor(t, SERVERS);
  const kept = supervisor.instance(ref("stranger", "open"));
  await assert.rejects(kept.ensure(), {
    code: "SERVER_NOT_FOUND",
    message: "stranger/open: there is no such server",
  });
  assert.equal(kept.live, undefined);
});
