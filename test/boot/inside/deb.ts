// The Debian package on a plain system, from install to purge; each test goes on where the last one ended.
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";
import { callTool } from "./client.ts";
import { SERVICE, mainPid, property, run, serving, until } from "./system.ts";

const PROGRAM = "/usr/bin/mcp-supervisor";
const KEY = "/etc/mcp-supervisor/vault.key";
const DATABASE = "/var/lib/mcp-supervisor/mcp-supervisor.db";

interface Added {
  key: { secret: string };
  urls: { http: string }[];
}

function deb(): string {
  const name = readdirSync("/opt").find((file) => file.endsWith(".deb"));
  assert.ok(name !== undefined, "the package is in /opt");
  return `/opt/${name}`;
}

function apt(...args: string[]): string {
  const { code, stdout, stderr } = run(
    "env",
    [
      ["DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
      ["apt-get", "-y", ...args],
    ].flat(),
  );
  assert.equal(code, 0, `apt-get ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- a cast, written once and not at each call
function ask<T>(program: string, args: readonly string[], input = ""): T {
  const { code, stdout, stderr } = run(program, ["--json", ...args], input);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as T;
}

const says = async ({ urls, key }: Added): Promise<string> =>
  await callTool("http", urls[0]!.http, key.secret, "get-env");

let alice: Added;
test("a service from the tarball goes on with the package: users, keys and config stay", async () => {
  const tarball = "/usr/local/bin/mcp-supervisor";
  ask(tarball, ["service", "install"]);
  assert.equal(run("systemctl", ["enable", "--now", "mcp-supervisor"]).code, 0);
  await serving();
  alice = ask(tarball, ["user", "add", "alice", "--token-stdin"], "token-of-alice");
  const before = { key: readFileSync(KEY, "utf8"), pid: mainPid() };
  const said = apt("install", deb());
  assert.match(said, /^changed unit \/etc\/systemd\/system\/mcp-supervisor\.service$/m);
  await serving(before.pid);
  assert.match(
    readFileSync(`/proc/${mainPid()}/maps`, "utf8"),
    /\/usr\/lib\/mcp-supervisor\/node\//,
  );
  assert.match(await says(alice), /token-of-alice/);
  assert.equal(readFileSync(KEY, "utf8"), before.key);
  rmSync(tarball);
});

test("removing keeps data and keys, and purging says what it deletes", () => {
  assert.match(apt("remove", "mcp-supervisor"), /kept \/var\/lib\/mcp-supervisor/);
  assert.notEqual(run("systemctl", ["is-active", SERVICE]).code, 0);
  assert.ok(!existsSync(PROGRAM) && existsSync(KEY) && existsSync(DATABASE));
  const said = apt("purge", "mcp-supervisor");
  assert.match(said, /^deleting \/etc\/mcp-supervisor$/m);
  assert.match(said, /^deleting \/var\/lib\/mcp-supervisor$/m);
  assert.ok(!existsSync("/etc/mcp-supervisor") && !existsSync("/var/lib/mcp-supervisor"));
  assert.ok(!existsSync("/usr/lib/mcp-supervisor"));
});

test("on a plain system two commands are enough for a first call, in a sandbox", async () => {
  const said = apt("install", deb());
  assert.match(said, /sudo mcp-supervisor user add alice/);
  assert.doesNotMatch(said, /^Next:$/m, "the service is started already");
  await serving();
  alice = ask(PROGRAM, ["user", "add", "alice", "--token-stdin"], "another-token");
  assert.match(await says(alice), /another-token/);
  const { instances } = ask<{ instances: { isolation: string }[] }>(PROGRAM, ["status"]);
  assert.equal(instances[0]?.isolation, "sandbox");
  assert.equal(run("systemctl", ["is-enabled", SERVICE]).code, 0);
  await until(() => property("StatusText") === "1 user, 1 child", "systemd shows the counts");
  const { stdout } = run(PROGRAM, ["user", "add", "bob"]);
  assert.match(stdout, /^ {2}mcp-supervisor url bob/m, "hints name the command as it is installed");
});

/** A server of one's own that asks a service of this machine, with the user's token. */
const OWN = `import { createInterface } from "node:readline";
const answer = (id, result) => console.log(JSON.stringify({ jsonrpc: "2.0", id, result }));
createInterface({ input: process.stdin }).on("line", async (line) => {
  const { id, method, params } = JSON.parse(line);
  if (method === "initialize")
    answer(id, {
      protocolVersion: params.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: "own", version: "1" },
    });
  else if (method === "tools/list")
    answer(id, { tools: [{ name: "ask", inputSchema: { type: "object" } }] });
  else if (method === "tools/call") {
    const headers = { authorization: process.env.OWN_TOKEN };
    const text = await (await fetch(process.env.SERVICE, { headers })).text();
    answer(id, { content: [{ type: "text", text }] });
  } else if (id !== undefined)
    console.log(JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32601, message: "no" } }));
});
`;

test("an own server with a local service is four commands away, the install with them", async () => {
  mkdirSync("/srv/own", { recursive: true });
  writeFileSync("/srv/own/server.mjs", OWN);
  const entry = {
    command: "/usr/local/bin/node",
    args: ["/srv/own/server.mjs"],
    cwd: "/srv/own",
    env: { SERVICE: "http://127.0.0.1:8030/" },
    reach: [8030],
    tokenEnv: "OWN_TOKEN",
  };
  writeFileSync("/srv/own.json", JSON.stringify({ mcpServers: { own: entry } }));
  const service = createServer((request, response) =>
    response.end(`service for ${request.headers.authorization}`),
  );
  await once(service.listen(8030, "127.0.0.1"), "listening");
  try {
    ask(PROGRAM, ["server", "import", "/srv/own.json"]);
    const carol = ask<Added>(PROGRAM, ["user", "add", "carol", "--token-stdin"], "carols");
    ask(PROGRAM, ["user", "grant", "carol", "own"]);
    const url = "http://127.0.0.1:8040/u/carol/own/mcp";
    assert.match(await callTool("http", url, carol.key.secret, "ask"), /service for carols/);
  } finally {
    service.close();
  }
});

test("it has a man page, and completion for three shells", () => {
  const files = [
    "/usr/share/bash-completion/completions/mcp-supervisor",
    "/usr/share/zsh/vendor-completions/_mcp-supervisor",
    "/usr/share/fish/vendor_completions.d/mcp-supervisor.fish",
  ];
  for (const file of files) assert.ok(statSync(file).size > 100, file);
  // The test's system leaves manual pages out.
  assert.match(run("dpkg", ["-L", "mcp-supervisor"]).stdout, /man1\/mcp-supervisor\.1\.gz/);
});

test("a removed package comes back to its users", async () => {
  apt("remove", "mcp-supervisor");
  apt("install", deb());
  await serving();
  assert.match(await says(alice), /another-token/);
});
