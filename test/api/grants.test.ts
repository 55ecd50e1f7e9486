import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { figure } from "../helpers/figures.ts";
import { bearer, call, initialize, json } from "../helpers/fixtures.ts";
import { echoServer } from "../helpers/echo.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import type { Answer } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";
import { openRig } from "./rig.ts";

interface Row {
  user: string;
  server: string;
  state: string;
}

/** A daemon with weather, which is granted to nobody yet, and the keys of two users. */
async function rigWithWeather(t: TestContext) {
  const rig = await openRig(t, { selfService: true });
  const { port } = rig.daemon.address;
  const order = async (method: string, path: string, body?: object): Promise<object> => {
    const answer = await rig.ask(method, path, { body });
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.text}`);
    return answer.body;
  };
  const keyOf = async (user: string): Promise<string> =>
    ((await order("POST", "/api/users", { user })) as { key: { secret: string } }).key.secret;
  const keys = { alice: await keyOf("alice"), bob: await keyOf("bob") };
  const { id } = (await order("POST", "/api/mcp/configs", {
    ...echoServer("sse"),
    name: "weather",
  })) as { id: string };
  const running = async (): Promise<string[]> =>
    ((await order("GET", "/api/status")) as { instances: Row[] }).instances
      .filter(({ server, state }) => server === "weather" && state === "ready")
      .map(({ user }) => user);
  return { rig, port, order, keys, id, running };
}

type Rig = Awaited<ReturnType<typeof rigWithWeather>>;

/** The same for a server that is there and one that is not, but for what is in the id and the name. */
const essence = ({ status, headers: { date: _date, ...headers }, body }: Answer): object => ({
  status,
  headers,
  body: body.replace(/"requestId":"[^"]*"/, ""),
});

test("what is not granted to a user is as if it were not there, on every way in", async (t) => {
  const { port, order, keys, rig } = await rigWithWeather(t);
  await order("PUT", "/api/users/bob/grants?server=weather");
  const auth = bearer(keys.alice);
  const post = [...auth, ...json, "origin", rig.daemon.publicUrl.origin];
  const ways = (server: string): [string, string, string?][] => [
    ["GET", `/u/alice/${server}/sse`],
    ["POST", `/u/alice/${server}/sse`, initialize()],
    ["POST", `/u/alice/${server}/messages?session_id=x`, initialize()],
    ["POST", `/u/alice/${server}/mcp`, initialize()],
    ["GET", `/u/alice/${server}/mcp`],
    ["DELETE", `/u/alice/${server}/mcp`],
    ["POST", `/u/alice/connect/${server}`, "{}"],
    ["PUT", "/u/alice/token", JSON.stringify({ token: "t", server })],
    ["POST", "/tools", JSON.stringify({ method: "echo", server, strict: true })],
    ["GET", `/tools/list?server=${server}`],
  ];
  const unknown = ways("nowhere");
  for (const [at, [method, path, body]] of ways("weather").entries()) {
    const headers = body === undefined ? auth : post;
    const answer = await ask(port, { method, path, headers, ...(body && { body }) });
    assert.equal(answer.status, 404, `${method} ${path}: ${answer.body}`);
    const [, other, otherBody] = unknown[at]!;
    const sent = { method, path: other, headers, ...(otherBody && { body: otherBody }) };
    assert.deepEqual(essence(answer), essence(await ask(port, sent)), `${method} ${path}`);
  }
  // The admin is told which of both it was.
  const refused = await ask(port, { path: "/u/alice/weather/sse", headers: auth });
  const { requestId } = (JSON.parse(refused.body) as { error: { requestId: string } }).error;
  assert.match(
    (await rig.ask("GET", `/api/requests/${requestId}`)).text,
    /user grant alice weather/,
  );
  const texts = [
    (await ask(port, { path: "/servers", headers: auth })).body,
    (await ask(port, { path: "/health?details", headers: auth })).body,
    (await rig.ask("GET", "/api/users/alice")).text,
    (await rig.ask("GET", "/api/users/alice/urls")).text,
  ];
  for (const text of texts) assert.doesNotMatch(text, /weather/);
  const invited = (await order("POST", "/api/users/alice/invite", {})) as {
    invite: { url: string };
    urls: object;
  };
  assert.doesNotMatch(JSON.stringify(invited.urls), /weather/);
  const code = new URL(invited.invite.url).hash.slice(1);
  const redeemed = await ask(port, {
    method: "POST",
    path: "/invite",
    headers: post,
    body: JSON.stringify({ code }),
  });
  assert.equal(redeemed.status, 200);
  assert.doesNotMatch(redeemed.body, /weather/);
  // An admin who orders in the user's name is told which order is missing.
  for (const [method, path] of [
    ["GET", "/api/users/alice/urls?server=weather"],
    ["POST", "/api/users/alice/start?server=weather"],
    ["POST", "/api/users/alice/restart?server=weather"],
  ] as const) {
    const { status, error } = await rig.ask(method, path);
    assert.deepEqual([status, error.type], [404, "SERVER_NOT_FOUND"], path);
    assert.match(error.message, /not granted/, path);
  }
  const bobs = bearer(keys.bob);
  assert.match((await ask(port, { path: "/servers", headers: bobs })).body, /"weather"/);
  assert.match((await rig.ask("GET", "/api/users/bob")).text, /\/u\/bob\/weather\/sse/);
});

/** A stream and a session of the user on weather, and the child that serves them. */
async function visit(t: TestContext, { port, keys, running }: Rig, user: "alice" | "bob") {
  const auth = bearer(keys[user]);
  const stream = await EventStream.open(port, { path: `/u/${user}/weather/sse`, headers: auth });
  t.after(() => stream.close());
  assert.equal(stream.status, 200);
  const headers = [...auth, ...json];
  const path = `/u/${user}/weather/mcp`;
  const opened = await ask(port, { method: "POST", path, headers, body: initialize() });
  assert.equal(opened.status, 200, opened.body);
  const session = ["mcp-session-id", String(opened.headers["mcp-session-id"])];
  const send = (): Promise<Answer> =>
    ask(port, { method: "POST", path, headers: [...headers, ...session], body: call(1, "echo") });
  assert.equal((await send()).status, 200);
  const sleep = { method: "sleep", args: { ms: 60_000 }, server: "weather", strict: true };
  const called = ask(port, {
    method: "POST",
    path: "/tools",
    headers,
    body: JSON.stringify(sleep),
  });
  // That of a user who loses nothing lasts until the daemon ends.
  called.catch(() => undefined);
  const listening = await EventStream.open(port, { path, headers: [...auth, ...session] });
  t.after(() => listening.close());
  await until(async () => (await running()).includes(user), "the child runs");
  return { streams: [stream, listening], send, called };
}

test("who loses a server loses streams, sessions and the child within a second, and nobody else does", async (t) => {
  const rig = await rigWithWeather(t);
  const { order, running } = rig;
  const WAYS: [string, () => Promise<unknown>, () => Promise<unknown>][] = [
    [
      "by name",
      () => order("PUT", "/api/users/alice/grants?server=weather"),
      () => order("DELETE", "/api/users/alice/grants?server=weather"),
    ],
    [
      "with the group",
      async () => {
        await order("PUT", "/api/groups/staff/members", { users: ["alice"] });
        await order("PUT", "/api/groups/staff/grants?server=weather");
      },
      () => order("DELETE", "/api/groups/staff"),
    ],
  ];
  await order("PUT", "/api/users/bob/grants?server=weather");
  const bob = await visit(t, rig, "bob");
  for (const [way, give, take] of WAYS) {
    await give();
    const { streams, send, called } = await visit(t, rig, "alice");
    const startedAt = performance.now();
    await take();
    await until(() => streams.every(({ isEnded }) => isEnded), `${way}: the streams end`);
    // Broken off, or, where it had not gone out yet, not begun.
    const { status, body } = await called;
    assert.ok(status >= 400, `${way}: the call ends, ${body}`);
    await until(async () => !(await running()).includes("alice"), `${way}: the child ends`);
    figure(t, way, performance.now() - startedAt, 1_000);
    assert.equal((await send()).status, 404, way);
  }
  assert.ok(bob.streams.every(({ isEnded }) => !isEnded));
  assert.equal((await bob.send()).status, 200);
});

test("one whom a file with prune leaves out is disabled and cut off, and a server that is removed takes its grants with it", async (t) => {
  const rig = await rigWithWeather(t);
  const { order, keys, id, port } = rig;
  // The user is there already, and so not what an apply made.
  const file = { users: [{ name: "alice", servers: ["weather"] }, { name: "carol" }] };
  await order("POST", "/api/apply", file);
  const { streams } = await visit(t, rig, "alice");
  const carol = ((await order("POST", "/api/users/carol/keys", {})) as { secret: string }).secret;
  const open = { path: "/u/carol/echo/sse", headers: bearer(carol) };
  const stream = await EventStream.open(port, open);
  t.after(() => stream.close());
  const startedAt = performance.now();
  const { changes } = (await order("POST", "/api/apply", { prune: true })) as { changes: object[] };
  assert.deepEqual(changes, [
    { change: "ungrant", to: "alice", server: "weather" },
    { change: "disable-user", user: "carol" },
  ]);
  await until(() => [...streams, stream].every(({ isEnded }) => isEnded), "all streams end");
  figure(t, "an apply until the last stream is over", performance.now() - startedAt, 1_000);
  assert.equal((await ask(port, open)).status, 401);

  await order("PUT", "/api/users/alice/grants?server=weather");
  await order("DELETE", `/api/mcp/configs/${id}`);
  const url = "http://127.0.0.1:9/mcp";
  await order("POST", "/api/mcp/configs", { name: "weather", url });
  const path = "/u/alice/weather/sse";
  assert.equal((await ask(port, { path, headers: bearer(keys.alice) })).status, 404);
});

test("orders about groups and grants say what was changed, name what was meant, and stand in the audit", async (t) => {
  const { rig, order } = await rigWithWeather(t);
  assert.deepEqual(await order("PUT", "/api/groups/staff/members", { users: ["alice"] }), {
    name: "staff",
    members: ["alice"],
    servers: [],
    made: true,
  });
  const granted = { to: "@staff", server: "weather", changed: true, open: false };
  const grants = "/api/groups/staff/grants?server=weather";
  assert.deepEqual(await order("PUT", grants), granted);
  assert.deepEqual(await order("PUT", grants), { ...granted, changed: false });
  assert.deepEqual(await order("PUT", "/api/users/bob/grants?server=echo"), {
    to: "bob",
    server: "echo",
    changed: false,
    open: true,
  });
  assert.deepEqual(await order("GET", "/api/users/alice/grants"), {
    user: "alice",
    groups: ["staff"],
    granted: [{ server: "weather", by: ["@staff"] }],
  });
  const refusals: [string, string, number, RegExp][] = [
    ["PUT", "/api/users/alice/grants?server=wether", 404, /no such server; did you mean weather\?/],
    ["PUT", "/api/groups/stff/grants?server=weather", 404, /no such group; did you mean staff\?/],
    ["PUT", "/api/groups/stff/members/alice", 404, /did you mean staff\?/],
    ["PUT", "/api/users/alice/grants", 400, /server/],
    ["DELETE", "/api/users/alice/grants?server=echo", 400, /open to all users/],
    ["PUT", "/api/groups/all/members", 400, /everybody/],
    ["DELETE", "/api/groups/crew", 404, /no such group/],
    ["POST", "/api/groups", 405, /only GET/],
  ];
  for (const [method, path, status, message] of refusals) {
    const answer = await rig.ask(method, path);
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    assert.match(answer.error.message, message, path);
  }
  const mistyped = await rig.ask("POST", "/api/apply", {
    body: { users: [{ name: "carol", grups: [] }] },
  });
  assert.equal(mistyped.status, 400);
  assert.match(mistyped.error.details![0]!, /^users\[0\]\.grups: .*did you mean "groups"/);
  const carol = { name: "carol", servers: ["weather"] };
  const flawed = { users: [carol], tokens: [{ user: "carol", token: "t" }] };
  assert.equal((await rig.ask("POST", "/api/apply", { body: flawed })).status, 400);
  assert.equal((await rig.ask("GET", "/api/users/carol")).status, 404);
  await order("POST", "/api/apply", { users: [carol] });
  const { entries } = (await order("GET", "/api/audit")) as {
    entries: { what: string; user: string | null; server: string | null; outcome: string }[];
  };
  const told = entries
    .filter(({ outcome }) => outcome === "ok")
    .map(({ what, user, server }) => [what, user, server].filter(Boolean).join(" "));
  for (const row of [
    "group add staff",
    "user grant @staff weather",
    "apply",
    "apply: user add carol",
    "apply: user grant carol weather",
  ])
    assert.ok(told.includes(row), `${row} in ${told.join(", ")}`);
});
