// The Debian package on a plain system, from install to purge; each test goes on where the last one ended.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
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
