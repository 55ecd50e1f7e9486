import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { openStore } from "../../src/store/store.ts";
import { bearer, fixture, initialize, json, rpc } from "../helpers/fixtures.ts";
import { EventStream, ask as askGateway } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";
import { openRig } from "./rig.ts";
import type { AskOptions, Rig } from "./rig.ts";

const PATH = "/api/mcp/configs";
const SEED_HEADERS = { Authorization: "Bearer token123" };

interface Shown {
  id: string;
  slug: string;
  name: string;
  origin: string;
  enabled: boolean;
  headers?: Record<string, null>;
  [key: string]: unknown;
}

interface ServerRig extends Rig {
  /** `POST` of a server, which is granted to everybody; rejects what is not 201. */
  add: (body: object, options?: AskOptions) => Promise<Shown>;
  change: (id: string, body: object, options?: AskOptions) => Promise<Shown>;
  list: () => Promise<Shown[]>;
  /** The TCP listener, with the admin's token. */
  tcp: AskOptions;
  /** A message of a user to a server. */
  post: (key: string, server: string, body?: string) => ReturnType<typeof askGateway>;
  userKey: (user: string) => Promise<string>;
}

async function rig(t: TestContext, settings: object = {}): Promise<ServerRig> {
  const opened = await openRig(t, { admin: { host: "127.0.0.1", port: 0 }, ...settings });
  const { ask, daemon, dataDir } = opened;
  const token = readFileSync(join(dataDir, "admin.token"), "utf8").trim();
  const { port } = daemon.address;
  return {
    ...opened,
    add: async (body, options) => {
      const answered = await ask("POST", PATH, { body, ...options });
      assert.equal(answered.status, 201, answered.text);
      const added = answered.body as unknown as Shown;
      const granted = await ask("PUT", `/api/groups/all/grants?server=${added.slug}`);
      assert.equal(granted.status, 200, granted.text);
      return added;
    },
    change: async (id, body, options) => {
      const answered = await ask("PATCH", `${PATH}/${id}`, { body, ...options });
      assert.equal(answered.status, 200, answered.text);
      return answered.body as unknown as Shown;
    },
    list: async () => {
      const { body } = await ask("GET", PATH);
      return (body as { configs: Shown[] }).configs;
    },
    tcp: { tcp: daemon.adminAddress!, headers: { authorization: `Bearer ${token}` } },
    post: (key, server, body = initialize()) =>
      askGateway(port, {
        method: "POST",
        path: `/u/alice/${server}/mcp`,
        headers: [...bearer(key), ...json],
        body,
      }),
    userKey: async (user) => {
      const { body } = await ask("POST", "/api/users", { body: { user } });
      return (body as { key: { secret: string } }).key.secret;
    },
  };
}

test("the requests and messages of the guide to MCP configs are answered as it says", async (t) => {
  const { add, change, ask, tcp } = await rig(t);
  const seed = {
    name: "Drawing Server",
    url: "http://localhost:3001/sse",
    description: "AI 绘图服务",
    headers: SEED_HEADERS,
    enabled: true,
  };
  const { id, origin, ...added } = await add(seed, tcp);
  assert.match(id, /^[0-9a-f]{16}$/);
  assert.equal(origin, "rest");
  const shown = { ...seed, slug: "drawing-server", headers: { Authorization: null } };
  assert.deepEqual(added, shown);
  const changed = await change(id, { headers: { Authorization: "Bearer new_token" } }, tcp);
  assert.deepEqual(changed, { id, origin, ...shown });

  const examples = [
    { Authorization: "Bearer your_access_token_here" },
    { "X-API-Key": "your_api_key_here" },
    {
      Authorization: "Bearer your_token",
      "X-Custom-Header": "custom_value",
      "Content-Type": "application/json",
    },
    { Authorization: "Basic dXNlcm5hbWU6cGFzc3dvcmQ=" },
  ];
  for (const headers of examples) {
    const nulls = Object.fromEntries(Object.keys(headers).map((name) => [name, null]));
    for (const said of [headers, JSON.stringify(headers, null, 2)])
      assert.deepEqual((await change(id, { headers: said })).headers, nulls);
  }
  const right = [
    '{\n  "Authorization": "Bearer token",\n  "X-API-Key": "key"\n}',
    '{\n  "Authorization": "Bearer token"\n}',
  ];
  for (const headers of right) {
    const names = Object.keys(JSON.parse(headers) as object);
    assert.deepEqual(Object.keys((await change(id, { headers })).headers!), names);
  }
  for (const headers of ["", " \n", {}, "{}", null]) {
    await change(id, { headers: { "X-A": "1" } });
    assert.equal((await change(id, { headers })).headers, undefined, JSON.stringify(headers));
  }

  const NOT_JSON = {
    zh: "Headers 格式错误：必须是有效的 JSON 格式",
    en: "Headers are malformed: they must be valid JSON",
  };
  const NO_OBJECT = { zh: "Headers 必须是一个对象", en: "Headers must be an object" };
  const refused: [unknown, { zh: string; en: string }][] = [
    ["{\n  'Authorization': 'Bearer token',\n  \"X-API-Key\": \"key\"\n}", NOT_JSON],
    ['{\n  "Authorization": "Bearer token", // ❌ 使用了单引号\n  "X-API-Key": "key"\n}', NOT_JSON],
    ['{"Authorization": "Bearer token" "X-API-Key": "key"}', NOT_JSON],
    ['{"Authorization": "Bearer token",}', NOT_JSON],
    ['"Authorization": "Bearer token"', NOT_JSON],
    ['["Authorization", "Bearer token"]', NO_OBJECT],
    ["null", NO_OBJECT],
    ["7", NO_OBJECT],
    [["Authorization", "Bearer token"], NO_OBJECT],
    [7, NO_OBJECT],
    [true, NO_OBJECT],
  ];
  for (const [headers, message] of refused)
    for (const [language, accepted] of [
      ["en", undefined],
      ["zh", "zh-CN,zh;q=0.9,en;q=0.8"],
      ["en", "en-US,en;q=0.9,zh;q=0.8"],
    ] as const) {
      const options = accepted === undefined ? {} : { headers: { "accept-language": accepted } };
      for (const [method, path, rest] of [
        ["POST", PATH, { name: "Other", url: seed.url }],
        ["PATCH", `${PATH}/${id}`, {}],
      ] as const) {
        const answered = await ask(method, path, { body: { ...rest, headers }, ...options });
        assert.deepEqual([answered.status, answered.error.message], [400, message[language]]);
      }
    }
});

test("a form can be loaded and saved: null keeps a header, a string sets it, what is missing goes", async (t) => {
  const remote = await record(t);
  const { add, change, ask, post, userKey, logged, dataDir, list, daemon, tcp } = await rig(t);
  const key = await userKey("alice");
  const CANARIES = ["canary-one-of-the-form", "canary-two-of-the-form", "canary-three-of-it"];
  const [first, second, third] = CANARIES;
  const { id, ...created } = await add({
    name: "Drawing",
    url: `${remote.origin}/mcp`,
    headers: {
      Authorization: `Bearer ${first}`,
      "X-Kept": second,
      "X-Gone": "something-that-goes",
      "Content-Type": "application/xml",
      "X-User": "${user}",
    },
  });
  const names = ["Authorization", "X-Kept", "X-Gone", "Content-Type", "X-User"];
  const nulls = Object.fromEntries(names.map((name) => [name, null]));
  assert.deepEqual(created.headers, nulls);
  /** What the last message to the remote carried under these names. */
  const sent = async (): Promise<(string | undefined)[]> => {
    assert.equal((await post(key, "drawing")).status, 200);
    const { headers, names: written } = remote.requests.at(-1)!;
    const types = written.filter((name) => name.toLowerCase() === "content-type");
    assert.deepEqual(types.length, 1, "no name goes out twice");
    return ["authorization", "x-kept", "x-gone", "content-type", "x-user"].map(
      (name) => headers[name] as string | undefined,
    );
  };
  const ours = "application/json";
  assert.deepEqual(await sent(), [`Bearer ${first}`, second, "something-that-goes", ours, "alice"]);
  const form = (await ask("GET", `${PATH}/${id}`)).body as unknown as Shown;
  assert.deepEqual(form.headers, nulls);
  const { "X-Gone": _gone, ...left } = nulls;
  const saved = { ...form, headers: { ...left, Authorization: `Bearer ${third}` } };
  const answer = await change(id, saved);
  assert.deepEqual(answer.headers, left);
  assert.deepEqual(await sent(), [`Bearer ${third}`, second, undefined, ours, "alice"]);
  // A null finds its value whatever the case, and stands for none that was never given.
  await change(id, { headers: { "x-kept": null } });
  assert.deepEqual(await sent(), [undefined, second, undefined, ours, undefined]);
  const none = await ask("PATCH", `${PATH}/${id}`, { body: { headers: { "X-New": null } } });
  assert.equal(none.status, 400);
  assert.match(none.error.message, /X-New/);
  // A session that is open goes on, and its next request carries the new value.
  const open = await post(key, "drawing");
  const session = String(open.headers["mcp-session-id"]);
  const sentInSession = async (): Promise<string | undefined> => {
    const answered = await askGateway(daemon.address.port, {
      method: "POST",
      path: "/u/alice/drawing/mcp",
      headers: [...bearer(key), ...json, "mcp-session-id", session],
      body: rpc(7, "tools/list"),
    });
    assert.equal(answered.status, 200, answered.body);
    return remote.requests.at(-1)!.headers["x-kept"] as string | undefined;
  };
  assert.equal(await sentInSession(), second);
  await change(id, { headers: { "X-Kept": "a-changed-value" } });
  assert.equal(await sentInSession(), "a-changed-value");
  await change(id, { headers: { "X-Kept": second } });
  await change(id, { name: "Painting", description: "said\nin two lines" });
  assert.deepEqual(await sent(), [undefined, second, undefined, ours, undefined]);

  const rows = await askGateway(daemon.address.port, { path: "/servers", headers: bearer(key) });
  assert.match(rows.body, /"name":"Painting","slug":"drawing"/);
  const audit = (await ask("GET", "/api/audit")).text;
  const { host, port } = daemon.adminAddress!;
  const { headers } = tcp as { headers: Record<string, string> };
  const metrics = await (await fetch(`http://${host}:${port}/metrics`, { headers })).text();
  const everything = [logged(), audit, metrics, JSON.stringify(await list())];
  for (const name of readdirSync(dataDir))
    if (name.startsWith("mcp-supervisor.db"))
      everything.push(readFileSync(join(dataDir, name), "latin1"));
  for (const canary of CANARIES)
    for (const text of everything) assert.ok(!text.includes(canary), "no value stands anywhere");
  assert.match(audit, /"server add"/);
  assert.match(audit, /"server set"/);
});

test("headers that cannot be carried, are ours, or are there twice are refused by name and never by value", async (t) => {
  const { ask, list } = await rig(t);
  const before = (await list()).length;
  const VALUE = "value-that-nobody-repeats";
  const cases: [string, object | string][] = [
    ["Host", { Host: VALUE }],
    ["content-length", { "content-length": VALUE }],
    ["Transfer-Encoding", { "Transfer-Encoding": VALUE }],
    ["Connection", { Connection: VALUE }],
    ["Keep-Alive", { "Keep-Alive": VALUE }],
    ["TE", { TE: VALUE }],
    ["Trailer", { Trailer: VALUE }],
    ["Upgrade", { Upgrade: VALUE }],
    ["Proxy-Authorization", { "Proxy-Authorization": VALUE }],
    ["Expect", { Expect: VALUE }],
    ["Mcp-Session-Id", { "Mcp-Session-Id": VALUE }],
    ["MCP-Protocol-Version", { "MCP-Protocol-Version": VALUE }],
    ["Mcp-Method", { "Mcp-Method": VALUE }],
    ["Mcp-Name", { "Mcp-Name": VALUE }],
    ["x-a", { "X-A": VALUE, "x-a": VALUE }],
    ["X-A", { "X-A": 5 }],
    ["X-A", { "X-A": null }],
    ["X-A", { "X-A": [VALUE] }],
    ["X-A", { "X-A": `${VALUE}\r\nX-B: 1` }],
    ["X-A", { "X-A": `${VALUE}\0` }],
    ["X-A", { "X-A": `${VALUE}Ċ` }],
    ["X-A", { "X-A": `${VALUE} \${other}` }],
    ["X A", { "X A": VALUE }],
    ["X:A", { "X:A": VALUE }],
    ["__proto__", `{"__proto__": "${VALUE}"}`],
  ];
  for (const [name, headers] of cases) {
    const body = { name: "Odd", url: "http://127.0.0.1:9/mcp", headers };
    const answered = await ask("POST", PATH, { body });
    assert.equal(answered.status, 400, name);
    assert.ok(answered.text.includes(name), `${name}: ${answered.text}`);
    assert.ok(!answered.text.includes(VALUE), name);
  }
  for (const [body, message] of [
    [{ url: "http://127.0.0.1:9/mcp" }, /^name: is missing/],
    [{ name: "x" }, /^url: is missing, or "command"/],
    [{ name: "x", url: "http://a/mcp", timeout_ms: 5 }, /timeout_ms/],
    [{ name: "x", url: "http://a/mcp", slug: "y" }, /^slug/],
    [{ name: "x", url: "ftp://a/mcp" }, /^url: must be a URL/],
    [{ name: "x", url: "http://169.254.169.254/mcp" }, /^url: must not be a link-local/],
    [{ name: "x\ny", url: "http://a/mcp" }, /^name must be one line/],
    [{ name: "x", url: "http://a/mcp", enabled: "yes" }, /^enabled must be true or false/],
    [{ name: "x", builtin: "feishu-token" }, /^builtin/],
    [{ name: "x", url: "http://a/mcp", provider: "none" }, /^provider: is not one of/],
  ] as const) {
    const answered = await ask("POST", PATH, { body });
    assert.equal(answered.status, 400, answered.text);
    assert.match(answered.error.message, message);
  }
  assert.equal((await list()).length, before, "and nothing was stored");
});

test("a slug comes from the name, is never another server's, and stays when the name changes", async (t) => {
  const off = { url: "http://127.0.0.1:9/mcp", headers: { "X-Key": "of-one-that-is-off" } };
  const servers = { echo: fixture("sse", "echo-sse"), off: { ...off, disabled: true } };
  const { add, change, ask, list } = await rig(t, { servers });
  const url = "http://127.0.0.1:9/mcp";
  const slugOf = async (name: string): Promise<string> => (await add({ name, url })).slug;
  assert.equal(await slugOf("Drawing Server"), "drawing-server");
  assert.equal(await slugOf("drawing  server!"), "drawing-server-2");
  assert.equal(await slugOf("DRAWING SERVER"), "drawing-server-3");
  assert.equal(await slugOf("SSE"), "sse-2");
  assert.equal(await slugOf("token"), "token-2");
  assert.equal(await slugOf("x".repeat(80)), "x".repeat(63));
  assert.equal(await slugOf("x".repeat(81)), `${"x".repeat(61)}-2`);
  const drawing = await add({ name: "绘图服务", url });
  assert.equal(drawing.slug, `server-${drawing.id}`);
  assert.equal((await change(drawing.id, { name: "Drawing" })).slug, `server-${drawing.id}`);
  // Servers of the config are listed and shown, those that it switches off too, and changed there alone.
  for (const [name, enabled, type] of [
    ["Echo", true, "sse"],
    ["Off", false, "http"],
  ] as const) {
    const taken = await ask("POST", PATH, { body: { name, url } });
    assert.deepEqual([taken.status, taken.error.type], [409, "SERVER_EXISTS"]);
    const own = (await list()).find(({ slug }) => slug === name.toLowerCase())!;
    assert.deepEqual([own.origin, own.enabled, own["type"]], ["config", enabled, type]);
    if (!enabled) assert.deepEqual([own["url"], own.headers], [off.url, { "X-Key": null }]);
    const path = `${PATH}/${encodeURIComponent(own.id)}`;
    assert.deepEqual((await ask("GET", path)).body, own);
    for (const method of ["PATCH", "DELETE"]) {
      const answered = await ask(method, path);
      assert.deepEqual([answered.status, answered.error.type], [409, "SERVER_FIXED"]);
    }
  }
  for (const method of ["GET", "PATCH", "DELETE"]) {
    const answered = await ask(method, `${PATH}/nothing`);
    assert.deepEqual([answered.status, answered.error.type], [404, "SERVER_NOT_FOUND"]);
  }
});

test("programs are taken over the socket only, at the isolation that the config asks for", async (t) => {
  const { add, ask, tcp, list, post, userKey, dataDir } = await rig(t);
  const witness = join(dataDir, "witness");
  const command = { command: "/bin/sh", args: ["-c", `touch ${witness}`] };
  for (const body of [
    { name: "Shell", ...command },
    { name: "Shell", command: "/bin/sh" },
    { name: "Shell", url: "http://127.0.0.1:9/mcp", env: { A: "1" } },
    { name: "Shell", url: "http://127.0.0.1:9/mcp", cwd: "/" },
    { name: "Shell", url: "http://127.0.0.1:9/mcp", paths: { write: ["/"] } },
    // Whoever names an image says what runs.
    { name: "Shell", url: "http://127.0.0.1:9/mcp", kubernetes: { image: "x" } },
    { name: "Shell", url: "http://127.0.0.1:9/mcp", engine: "kubernetes" },
  ]) {
    const answered = await ask("POST", PATH, { body, ...tcp });
    assert.deepEqual([answered.status, answered.error.type], [403, "SOCKET_ONLY"]);
  }
  const { id } = await add({ name: "Remote", url: "http://127.0.0.1:9/mcp" }, tcp);
  const patched = await ask("PATCH", `${PATH}/${id}`, { body: { url: null, ...command }, ...tcp });
  assert.equal(patched.status, 403);
  assert.ok(!existsSync(witness));
  const before = (await list()).length;
  const cannot = await ask("POST", PATH, {
    body: { name: "Boxed", command: "x", isolation: "user" },
  });
  assert.equal(cannot.status, 400, cannot.text);
  assert.equal((await list()).length, before, "nothing is stored");
  const cat = await add({ name: "Cat", command: "cat" });
  const weak = await ask("PATCH", `${PATH}/${cat.id}`, { body: { isolation: "user" } });
  assert.equal(weak.status, 400, weak.text);
  assert.deepEqual((await ask("GET", `${PATH}/${cat.id}`)).body, cat, "and it is as it was");

  const SECRET = "canary-in-the-environment";
  const { args, ...recipe } = fixture("http", "echo-sse") as { args: string[] };
  const echo = await add({ name: "Program", ...recipe, args, env: { OWN_KEY: SECRET } });
  assert.deepEqual(echo["env"], { OWN_KEY: null });
  assert.deepEqual([echo["type"], echo["args"]], ["http", args]);
  const key = await userKey("alice");
  assert.equal((await post(key, "program")).status, 200);
  const { body } = await ask("GET", "/api/status?server=program");
  const [row] = (body as { instances: { isolation: string; pid: number }[] }).instances;
  assert.equal(row?.isolation, "none");
  const environ = readFileSync(`/proc/${row.pid}/environ`, "utf8");
  assert.ok(environ.includes(`OWN_KEY=${SECRET}`), "the child has its value");
});

test("with commands allowed, TCP takes programs too", async (t) => {
  const { add, tcp } = await rig(t, { admin: { host: "127.0.0.1", port: 0, commands: true } });
  assert.equal((await add({ name: "Cat", command: "cat" }, tcp)).slug, "cat");
});

test("the text of another program's file is imported whole, with comments and what it asks its user for, or not at all", async (t) => {
  const { ask, list, tcp } = await rig(t);
  const of = async (body: object) => await ask("POST", "/api/mcp/import", { body, ...tcp });
  const file = `{
    // as Cursor has it
    "mcpServers": {
      "Drawing": { "url": "http://127.0.0.1:9/mcp", "headers": { "Authorization": "Bearer \${env:KEY}" } },
      "off": { "serverUrl": "http://127.0.0.1:9/sse", "disabled": true },
    },
  }`;
  const { body: imported } = await of({ file });
  assert.deepEqual(imported, { added: ["drawing", "off"], changed: [], unchanged: [] });
  const names = async (): Promise<string[]> =>
    (await list()).filter(({ origin }) => origin === "rest").map(({ slug }) => slug);
  assert.deepEqual(await names(), ["drawing", "off"]);
  const refused: [object, RegExp][] = [
    [
      { file: file.replace("9/sse", "9/other").replace("off", "other").replace('"url"', '"ur1"') },
      /Drawing/,
    ],
    [
      { file: '{"mcpServers":{"new":{"url":"http://127.0.0.1:9/mcp"},"two":{"command":"x"}}}' },
      /socket/,
    ],
    [
      { file: '{"servers":{"new":{"url":"http://127.0.0.1:9/mcp"},"b":{"url":"${env:A}"}}}' },
      /servers\.b\.url/,
    ],
    [{ file: "{" }, /file: line 1, column 2/],
    [{ file: "{}" }, /holds no server/],
    [{ file, servers: {} }, /servers or file/],
    [{ file: 5 }, /the text of a file/],
  ];
  for (const [body, why] of refused) {
    const answered = await of(body);
    assert.ok(answered.status >= 400 && answered.status < 500, answered.text);
    assert.match(answered.text, why);
  }
  assert.deepEqual(await names(), ["drawing", "off"]);
});

test("a disabled server is unknown to users and its children end; a removed one leaves nothing", async (t) => {
  const { add, change, ask, post, userKey, dataDir, daemon, list } = await rig(t);
  const key = await userKey("alice");
  const program = await add({ name: "Program", ...fixture("sse", "echo-sse") });
  const token = "token-of-alice-for-the-program";
  const tokenPath = "/api/users/alice/token?server=program";
  assert.equal((await ask("PUT", tokenPath, { body: { token } })).status, 200);
  assert.equal((await post(key, "program")).status, 200);
  const stream = await EventStream.open(daemon.address.port, {
    path: "/u/alice/program/sse",
    headers: bearer(key),
  });
  t.after(() => stream.close());
  assert.equal(stream.status, 200);
  const pids = async (): Promise<number[]> => {
    const { body } = await ask("GET", "/api/status?user=alice");
    const { instances } = body as { instances: { pid: number | null }[] };
    return instances.flatMap(({ pid }) => pid ?? []);
  };
  const [pid] = await until(async () => {
    const found = await pids();
    return found.length > 0 ? found : undefined;
  }, "a child runs");
  assert.equal((await change(program.id, { enabled: false })).enabled, false);
  await until(() => stream.isEnded, "the stream has ended");
  assert.equal((await post(key, "program")).status, 404);
  assert.ok(!existsSync(`/proc/${pid}`));
  assert.equal((await change(program.id, { enabled: true })).enabled, true);
  assert.equal((await post(key, "program")).status, 200);

  const home = join(dataDir, "homes", "alice", "program");
  writeFileSync(join(home, "kept"), "x");
  const other = join(dataDir, "homes", "alice", "program-2");
  mkdirSync(other);
  const gone = await ask("DELETE", `${PATH}/${program.id}?keepData=true`);
  assert.deepEqual(gone.body, { id: program.id, slug: "program", homes: 0, keptHomes: 1 });
  assert.ok(existsSync(join(home, "kept")));
  assert.deepEqual(await pids(), []);
  assert.equal((await post(key, "program")).status, 404);
  assert.deepEqual((await ask("GET", tokenPath)).body["tokens"], [], "its tokens are forgotten");

  const without = await ask("POST", PATH, {
    body: { name: "Program", ...fixture("sse", "echo-sse") },
  });
  assert.equal((await post(key, "program")).status, 404, "nor is the next one granted to anybody");
  await ask("DELETE", `${PATH}/${String(without.body["id"])}?keepData=true`);
  const again = await add({ name: "Program", ...fixture("sse", "echo-sse") });
  assert.equal(again.slug, "program");
  assert.notEqual(again.id, program.id);
  const whole = await ask("DELETE", `${PATH}/${again.id}`);
  assert.deepEqual(whole.body, { id: again.id, slug: "program", homes: 1, keptHomes: 0 });
  assert.ok(!existsSync(home));
  assert.ok(existsSync(other), "another server's home stays");
  assert.ok((await list()).every(({ origin }) => origin === "config"));
});

test("a server outlives the daemon, and the config cannot take its name", async (t) => {
  const dir = (await openRig(t)).dir;
  const remote = await record(t);
  const at = join(dir, "second");
  mkdirSync(at);
  const body = {
    name: "Drawing",
    url: `${remote.origin}/mcp`,
    headers: { "X-Key": "a-stored-key" },
  };
  const first = await openRig(t, {}, at);
  assert.equal((await first.ask("POST", PATH, { body })).status, 201);
  const before = (await first.ask("GET", PATH)).body;
  await first.daemon.close();
  const second = await openRig(t, {}, at);
  assert.deepEqual((await second.ask("GET", PATH)).body, before);
  await second.daemon.close();
  const servers = { drawing: fixture("sse", "echo-sse"), echo: fixture("sse", "echo-sse") };
  await assert.rejects(
    openRig(t, { servers }, at),
    (error: { code: string; details: string[] }) => {
      assert.equal(error.code, "CONFIG_INVALID");
      assert.match(
        error.details[0]!,
        /^servers\.drawing: is the name of a server that the control API has/,
      );
      return true;
    },
  );
});

test("a removal that a kill cut short is finished by the next start", async (t) => {
  const at = join((await openRig(t)).dir, "second");
  mkdirSync(at);
  const first = await openRig(t, {}, at);
  const body = { name: "Drawing", url: "http://127.0.0.1:9/mcp" };
  const made = await first.ask("POST", PATH, { body });
  await first.daemon.close();
  const store = openStore(join(first.dataDir, "mcp-supervisor.db"));
  store.servers.setState(String(made.body["id"]), "removing");
  store.close();
  const home = join(first.dataDir, "homes", "alice", "drawing");
  mkdirSync(home, { recursive: true });
  const second = await openRig(t, {}, at);
  const { configs } = (await second.ask("GET", PATH)).body as { configs: Shown[] };
  assert.ok(configs.every(({ origin }) => origin === "config"));
  assert.ok(!existsSync(home));
  assert.equal((await second.ask("POST", PATH, { body })).body["slug"], "drawing");
});

test("without a default server a URL that names none is 404 with what to write", async (t) => {
  const { userKey, daemon } = await rig(t, { servers: {}, defaultServer: null });
  const key = await userKey("alice");
  const answered = await askGateway(daemon.address.port, {
    path: "/u/alice/sse",
    headers: bearer(key),
  });
  assert.equal(answered.status, 404);
  const { error } = JSON.parse(answered.body) as { error: { type: string; message: string } };
  assert.equal(error.type, "SERVER_NOT_FOUND");
  assert.match(error.message, /\/u\/alice\/SERVER\/sse/);
});
