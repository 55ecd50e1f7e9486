import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import type { Readable } from "node:stream";
import { text as textOf } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runCli, startDaemon } from "../helpers/daemon.ts";
import type { AddedUser, CliResult } from "../helpers/daemon.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

const SERVERS = {
  isolation: "none",
  defaultServer: "everything",
  servers: {
    everything: {
      type: "sse",
      command: process.execPath,
      args: [EVERYTHING, "sse"],
      env: { PORT: "${port}" },
    },
    other: {
      type: "http",
      command: process.execPath,
      args: [EVERYTHING, "streamableHttp"],
      env: { PORT: "${port}" },
    },
  },
};

const COMMANDS = [
  "serve",
  "demo",
  ...["add", "list", "show", "disable", "enable", "remove"].map((verb) => `user ${verb}`),
  ...["set", "show", "clear"].map((verb) => `token ${verb}`),
  ...["issue", "list", "expiring", "revoke"].map((verb) => `key ${verb}`),
  "url",
  "status",
  "logs",
  "start",
  "stop",
  "restart",
  "audit",
  "doctor",
  "panel",
  "config check",
  "config schema",
  ...["status", "rotate", "drop"].map((verb) => `keyring ${verb}`),
  "backup",
  "restore",
  ...["install", "list", "uninstall"].map((verb) => `package ${verb}`),
  "server install",
  "server list",
  "server uninstall",
  "service install",
  "service print",
  "service uninstall",
  "completion",
  "init",
];

interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs command lines one after the other in one process, which is enough for those that ask nobody. */
async function inOneProcess(lines: readonly string[]): Promise<Said[]> {
  const script = `
    import { writeSync } from "node:fs";
    import { run } from ${JSON.stringify(join(SRC, "cli", "cli.ts"))};
    const all = [];
    for (const line of JSON.parse(process.argv[1])) {
      const said = { stdout: "", stderr: "" };
      for (const name of ["stdout", "stderr"])
        process[name].write = (text) => ((said[name] += text), true);
      all.push({ code: await run(line === "" ? [] : line.split(" ")), ...said });
    }
    writeSync(3, JSON.stringify(all));
    process.exit(0);`;
  const argv = ["--no-warnings", "--input-type=module", "-e", script, "--", JSON.stringify(lines)];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "ignore", "inherit", "pipe"] });
  return JSON.parse(await textOf(child.stdio[3] as Readable)) as Said[];
}

test("every command has a help with an example, --config and --json", async () => {
  const said = await inOneProcess(COMMANDS.map((command) => `${command} --help`));
  for (const [i, command] of COMMANDS.entries()) {
    const { code, stdout, stderr } = said[i]!;
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`Example:\n +mcp-supervisor ${command}`), command);
    assert.match(stdout, /--config <file>/);
    assert.match(stdout, /--json/);
  }
});

test("a command line that cannot be read exits 2 and says what is wrong", async () => {
  const wrong: [string, RegExp][] = [
    ["", /Usage: mcp-supervisor/],
    ["user", /Usage: mcp-supervisor user/],
    ["usr list", /unknown command 'usr'/],
    ["user add", /missing required argument 'name'/],
    ["user add a b", /too many arguments/],
    ["user list --what", /unknown option '--what'/],
    ["token set a --token-stdin --token-env X", /cannot be used with/],
    ["token set a --token-file f --token-env X", /cannot be used with/],
    ["key issue a --expires soon", /lifetime/],
    ["token set a --expires-at soon", /RFC 3339|like 2027/],
  ];
  const plain = await inOneProcess(wrong.map(([line]) => line));
  const asJson = await inOneProcess(wrong.map(([line]) => `${line} --json`.trim()));
  for (const [i, [line, expected]] of wrong.entries()) {
    const { code, stdout, stderr } = plain[i]!;
    assert.equal(code, 2, line);
    assert.equal(stdout, "", line);
    assert.match(stderr, expected, line);
    if (line === "") continue;
    const inJson = asJson[i]!;
    assert.equal(inJson.code, 2, line);
    assert.equal(inJson.stdout, "", line);
    const { error } = JSON.parse(inJson.stderr) as { error: ReturnType<CliResult["error"]> };
    const { code: status, type, message, requestId } = error;
    assert.deepEqual([status, type], [400, "USAGE"]);
    assert.ok(message !== "" && !message.includes("\n"), message);
    assert.ok(requestId !== "");
  }
});

test("a secret that is typed where none belongs is not repeated", async (t) => {
  const config = join(temporaryFolder(t), "supervisor.config.json");
  writeFileSync(config, JSON.stringify(SERVERS));
  const lines = [
    ...COMMANDS.map((command) => `${command} alice s3cret bob s3cret`),
    ...COMMANDS.map((command) => `${command} --s3=s3cret`),
    "token set alice --token=s3cret",
    "token set alice --token-stdin=s3cret",
    "token set alice -s3cret",
    `token set alice --token-env s3cret --config ${config}`,
    `token set alice --token-file s3cret --config ${config}`,
    "token s3cret",
    "s3cret",
    "completion s3cret",
    "status --sort s3cret",
  ];
  const answers = await inOneProcess(lines.flatMap((line) => [line, `${line} --json`]));
  assert.ok(answers.every(({ code }) => code === 2));
  assert.doesNotMatch(JSON.stringify(answers), /s3cret/);

  const [told] = await inOneProcess(["token set alice s3cret"]);
  assert.match(
    told!.stderr,
    /^mcp-supervisor: too many arguments for 'set': it takes 1, and 2 were given/,
  );
  assert.match(
    told!.stderr,
    /a token is never an argument, .* --token-stdin, --token-file or --token-env/,
  );
});

test("without a daemon a command exits 69 and says how to start one", async (t) => {
  const dir = temporaryFolder(t);
  const config = join(dir, "supervisor.config.json");
  writeFileSync(config, JSON.stringify(SERVERS));
  const people = await runCli(["user", "list", "--config", config]);
  assert.equal(people.code, 69);
  assert.match(people.stderr, /no daemon answers on .*control\.sock/);
  assert.match(people.stderr, /mcp-supervisor serve/);
  const json = await runCli(["user", "list", "--config", config, "--json"]);
  assert.equal(json.code, 69);
  assert.equal(json.error().type, "DAEMON_UNREACHABLE");
});

test("config check needs no daemon and lists all problems at once", async (t) => {
  const dir = temporaryFolder(t);
  const path = join(dir, "supervisor.config.json");
  writeFileSync(path, JSON.stringify({ ...SERVERS, dataDirr: "x", idleTimeout: "soon" }));
  const bad = await runCli(["config", "check", "--config", path]);
  assert.equal(bad.code, 78);
  assert.match(bad.stderr, /dataDirr: .*\n/);
  assert.match(bad.stderr, /idleTimeout: .*\n/);
  const json = await runCli(["config", "check", "--json"], { cwd: dir });
  assert.equal(json.code, 78);
  assert.equal(json.error().type, "CONFIG_INVALID");
  assert.equal(json.error().details?.length, 2);

  writeFileSync(path, JSON.stringify(SERVERS));
  const good = await runCli(["config", "check", "--json"], {
    env: { MCP_SUPERVISOR_CONFIG: path },
    cwd: "/",
  });
  assert.deepEqual(good.json<{ servers: string[] }>().servers, ["everything", "other"]);
  const absent = await runCli(["config", "check", "--config", join(dir, "none.json")]);
  assert.equal(absent.code, 78);
  assert.match(absent.stderr, /cannot be read \(ENOENT\)/);
});

test("config schema is a JSON Schema that knows the keys of the config", async () => {
  const { properties } = (await runCli(["config", "schema"])).json<{ properties: object }>();
  assert.ok("servers" in properties && "dataDir" in properties);
});

test("a client command loads neither the daemon nor the schema library at start", () => {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(file, "utf8");
    for (const [, name] of text.matchAll(/^import (?!type)[^'"]*?["'](\.[^"']+)["']/gm))
      visit(resolve(dirname(file), name ?? ""));
  };
  visit(join(SRC, "cli", "main.ts"));
  const files = [...seen].map((file) => relative(SRC, file));
  assert.ok(files.includes("cli/user.ts"));
  for (const file of files)
    assert.match(
      file,
      /^(cli|http|platform)\/|^(mcp\/messages|web\/(?:snippets|client-entries)|errors)\.ts$/,
    );
});

test("users, keys and tokens are managed from the command line", async (t) => {
  const daemon = await startDaemon(t, { config: SERVERS });
  const { cli } = daemon;

  await t.test(
    "user add answers the URLs and the key, and tells people the next step",
    async () => {
      const alice = (await cli(["user", "add", "alice"])).json<AddedUser>();
      assert.deepEqual(alice, {
        user: "alice",
        key: { id: alice.key.id, secret: alice.key.secret },
        urls: [
          {
            server: "everything",
            sse: `${daemon.origin}/u/alice/sse`,
            http: `${daemon.origin}/u/alice/mcp`,
          },
          {
            server: "other",
            sse: `${daemon.origin}/u/alice/other/sse`,
            http: `${daemon.origin}/u/alice/other/mcp`,
          },
        ],
      });
      assert.match(alice.key.secret, /^mcps_[0-9A-Za-z]{36}$/);
      const bob = await cli(["user", "add", "bob"], { isForPeople: true });
      assert.equal(bob.code, 0, bob.stderr);
      assert.match(bob.stdout, new RegExp(`${daemon.origin}/u/bob/sse`));
      assert.match(bob.stdout, new RegExp(`${daemon.origin}/u/bob/other/mcp`));
      assert.match(bob.stdout, /mcps_[0-9A-Za-z]{36}/);
      assert.match(bob.stdout, /token set bob/);
      assert.match(bob.stdout, /url bob/);
    },
  );

  await t.test("a second user of that name is refused", async () => {
    const again = await cli(["user", "add", "alice"]);
    assert.equal(again.code, 1);
    assert.equal(again.stdout, "");
    assert.deepEqual([again.error().code, again.error().type], [409, "USER_EXISTS"]);
  });

  await t.test("names that are no slugs are refused, whatever they try", async () => {
    const names = ["../x", "a/b", "..", "Alice", "аlice", "a b", "", "-x", "a".repeat(64), "a%2fb"];
    for (const name of [...names, "x".repeat(100_000)]) {
      const added = await cli(["user", "add", "--", name]);
      assert.equal(added.code, 1, name);
      assert.equal(added.error().type, "REQUEST_INVALID", name);
      const shown = await cli(["user", "show", "--", name]);
      assert.equal(shown.code, 1, name);
    }
    const { users } = (await cli(["user", "list"])).json<{ users: { user: string }[] }>();
    assert.deepEqual(
      users.map(({ user }) => user),
      ["alice", "bob"],
    );
  });

  await t.test("a name that is no slug is refused with the slug that would do", async () => {
    for (const [name, slug] of [
      ["Alice Smith", "alice-smith"],
      ["  Jürgen Groß!", "jurgen-gross"],
      ["Łukasz.O'Brien", "lukasz-o-brien"],
    ] as const) {
      const { type, details } = (await cli(["user", "add", name])).error();
      assert.deepEqual([type, details], ["REQUEST_INVALID", [`${slug} would do`]]);
    }
    assert.deepEqual((await cli(["user", "add", "王明"])).error().details ?? [], []);
  });

  await t.test("users are listed and found by what people call them", async () => {
    const about = ["--name", "Carla Ruiz", "--email", "ruiz@example.com"];
    assert.equal((await cli(["user", "add", "carla", ...about])).code, 0);
    interface Listed {
      user: string;
      name: string | null;
      email: string | null;
    }
    const list = async (...search: string[]): Promise<Listed[]> =>
      (await cli(["user", "list", ...search])).json<{ users: Listed[] }>().users;
    for (const search of ["RUIZ", "ruiz@", "carl", "carla ruiz"])
      assert.deepEqual(
        (await list(search)).map(({ user }) => user),
        ["carla"],
        search,
      );
    const { createdAt, ...carla } = (await list("carla"))[0] as Listed & { createdAt: number };
    assert.ok(createdAt <= Date.now());
    assert.deepEqual(carla, {
      user: "carla",
      state: "enabled",
      name: "Carla Ruiz",
      email: "ruiz@example.com",
      lastSeenAt: null,
      keys: 1,
      keyExpiresAt: null,
      tokens: 0,
      tokenExpiresAt: null,
      servers: [],
    });
    const people = await cli(["user", "show", "carla"], { isForPeople: true });
    assert.match(people.stdout, /^carla is enabled, .*\nCarla Ruiz <ruiz@example\.com>\n/);
    const wrong = await cli(["user", "add", "dan", "--email", "no address"]);
    assert.equal(wrong.error().type, "REQUEST_INVALID");
    assert.equal((await cli(["user", "remove", "carla"])).code, 0);
  });

  await t.test(
    "a token comes from stdin, a file or the environment, one newline dropped",
    async () => {
      const file = join(daemon.dir, "alice.token");
      writeFileSync(file, "s3cret-ü\n");
      const fingerprints = [];
      for (const [args, options] of [
        [["--token-stdin"], { input: "s3cret-ü" }],
        [["--token-stdin"], { input: "s3cret-ü\n" }],
        [["--token-stdin"], { input: "s3cret-ü\r\n" }],
        [["--token-file", file], {}],
        [["--token-env", "A_TOKEN"], { env: { A_TOKEN: "s3cret-ü\n" } }],
      ] as const) {
        const set = await cli(["token", "set", "alice", ...args], options);
        fingerprints.push(set.json<{ fingerprint: string }>().fingerprint);
      }
      assert.equal(new Set(fingerprints).size, 1, fingerprints.join(" "));
      const two = await cli(["token", "set", "alice", "--token-stdin"], { input: "s3cret-ü\n\n" });
      assert.notEqual(two.json<{ fingerprint: string }>().fingerprint, fingerprints[0]);
    },
  );

  await t.test("a token that is not one is a usage error", async () => {
    const folder = join(daemon.dir, "folder");
    mkdirSync(folder);
    for (const [args, options, expected] of [
      [["--token-stdin"], { input: "" }, /empty/],
      [["--token-stdin"], { input: "\n" }, /empty/],
      [["--token-stdin"], { input: Buffer.from([0xff, 0xfe]) }, /UTF-8/],
      [["--token-stdin"], { input: "x".repeat(200_000) }, /128 KiB/],
      [["--token-file", "/dev/zero"], {}, /128 KiB/],
      [["--token-file", join(daemon.dir, "nowhere")], {}, /ENOENT/],
      [["--token-file", folder], {}, /EISDIR/],
      [["--token-env", "NOT_SET_AT_ALL"], {}, /NOT_SET_AT_ALL is not set/],
      [[], {}, /--token-stdin/],
    ] as const) {
      const set = await cli(["token", "set", "alice", ...args], options);
      assert.equal(set.code, 2, set.stderr);
      assert.match(set.error().message, expected);
    }
    const nul = await cli(["token", "set", "alice", "--token-stdin"], { input: "a\0b" });
    assert.equal(nul.code, 1);
    assert.equal(nul.error().type, "REQUEST_INVALID");
  });

  await t.test(
    "tokens are shown by fingerprint and expiry, for all servers or for one",
    async () => {
      const expiresAt = Date.UTC(2031, 0, 1);
      const set = await cli(
        [
          "token",
          "set",
          "bob",
          "--server",
          "other",
          "--expires-at",
          "2031-01-01T00:00:00Z",
          "--token-stdin",
        ],
        { input: "bobs-own" },
      );
      assert.deepEqual(
        [set.json<{ server: string }>().server, set.json<{ expiresAt: number }>().expiresAt],
        ["other", expiresAt],
      );
      const shown = await cli(["token", "show", "bob"]);
      assert.ok(!shown.stdout.includes("bobs-own"));
      const { tokens } = shown.json<{ tokens: { server: string | null; expiresAt: number }[] }>();
      assert.deepEqual(
        tokens.map(({ server }) => server),
        ["other"],
      );
      const people = await cli(["token", "show", "bob"], { isForPeople: true });
      assert.match(
        people.stdout,
        /^TOKEN FOR +FINGERPRINT +SET +EXPIRES\nother +\S+ +\S+ \S+ +2031-01-01 00:00Z\n$/,
      );

      assert.equal((await cli(["token", "clear", "bob"])).error().type, "TOKEN_NOT_FOUND");
      assert.equal((await cli(["token", "clear", "bob", "--server", "other"])).code, 0);
      assert.deepEqual((await cli(["token", "show", "bob"])).json<{ tokens: [] }>().tokens, []);
      const unknown = await cli(["token", "set", "bob", "--server", "nope", "--token-stdin"], {
        input: "x",
      });
      assert.equal(unknown.error().type, "SERVER_NOT_FOUND");
      assert.match(unknown.error().message, /everything, other/);
    },
  );

  await t.test("access keys are issued once, listed without secret, revoked by id", async () => {
    const before = Date.now();
    const issued = (
      await cli(["key", "issue", "bob", "--label", "laptop", "--expires", "90d"])
    ).json<{ id: string; secret: string; label: string; expiresAt: number }>();
    assert.deepEqual(Object.keys(issued), ["id", "secret", "label", "expiresAt"]);
    assert.equal(issued.label, "laptop");
    const lifetime = issued.expiresAt - before;
    assert.ok(lifetime >= 90 * 86_400_000 && lifetime < 90 * 86_400_000 + 60_000);
    const forever = (await cli(["key", "issue", "bob"])).json<typeof issued>();
    assert.deepEqual([forever.label, forever.expiresAt], [null, null]);

    const listed = await cli(["key", "list", "bob"]);
    assert.ok(!listed.stdout.includes(issued.secret));
    const { keys } = listed.json<{ keys: { id: string; label: string | null }[] }>();
    assert.equal(keys.length, 3);
    assert.ok(keys.some(({ id, label }) => id === issued.id && label === "laptop"));

    const expiring = async (within: string) =>
      (await cli(["key", "expiring", "--within", within])).json<{
        keys: { id: string; user: string }[];
      }>().keys;
    assert.deepEqual(
      (await expiring("91d")).map(({ id, user }) => [user, id]),
      [["bob", issued.id]],
    );
    assert.deepEqual(await expiring("89d"), []);
    const soon = await cli(["key", "expiring"], { isForPeople: true });
    assert.equal(soon.stdout, "No access key ends within 14d.\n");

    assert.deepEqual((await cli(["key", "revoke", issued.id])).json(), {
      id: issued.id,
      user: "bob",
    });
    const unknown = await cli(["key", "revoke", "nope"]);
    assert.deepEqual([unknown.code, unknown.error().type], [1, "KEY_NOT_FOUND"]);
    const people = await cli(["key", "revoke", "nope"], { isForPeople: true });
    assert.match(people.stderr, /key list NAME/);
  });

  await t.test("url prints snippets for every client and no secret", async () => {
    const found = await cli(["url", "alice", "--server", "other"]);
    assert.ok(!found.stdout.includes("mcps_"));
    const { urls, snippets } = found.json<{
      urls: object[];
      snippets: { client: string; front: string; text: string }[];
    }>();
    assert.equal(urls.length, 1);
    assert.equal(snippets.length, 13);
    assert.ok(snippets.every(({ front }) => front === "http"));
    const people = await cli(["url", "alice"], { isForPeople: true });
    for (const name of ["Claude Code", "Cursor", "VS Code", "Langflow", "FastMCP", "n8n", "curl"])
      assert.match(people.stdout, new RegExp(`# everything: ${name} `));
  });

  await t.test("the process is named by what it does", () => {
    const named = readFileSync(`/proc/${daemon.pid}/cmdline`, "latin1").replace(/\0+$/, "");
    assert.equal(named, "mcp-supervisor serve");
  });

  await t.test("status has the fields of the contract, for all users or for one", async () => {
    const { version, pid, uptimeSeconds, isolation, instances } = (await cli(["status"])).json<{
      version: string;
      pid: number;
      uptimeSeconds: number;
      isolation: string;
      instances: [];
    }>();
    assert.deepEqual([pid, isolation, instances], [daemon.pid, "none", []]);
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.ok(Number.isInteger(uptimeSeconds));
    assert.equal((await cli(["status", "nobody"])).error().type, "USER_NOT_FOUND");
    const people = await cli(["status"], { isForPeople: true });
    assert.match(
      people.stdout,
      /^mcp-supervisor .*isolation none\n2 users, 0 running, 0 failing, 0 of 8 GiB\nNo instances/,
    );
  });

  await t.test(
    "a user is disabled, enabled and removed, and the removal says what it took",
    async () => {
      const disabled = await cli(["user", "disable", "bob"]);
      assert.equal(disabled.json<{ state: string }>().state, "disabled");
      const start = await cli(["start", "bob"]);
      assert.deepEqual([start.code, start.error().type], [1, "USER_DISABLED"]);
      assert.equal(
        (await cli(["user", "enable", "bob"])).json<{ state: string }>().state,
        "enabled",
      );
      await cli(["token", "set", "bob", "--token-stdin"], { input: "x" });
      const removed = (await cli(["user", "remove", "bob"])).json<{
        removed: Record<string, number>;
      }>();
      assert.deepEqual(removed.removed, {
        keys: 2,
        sessions: 0,
        instances: 0,
        tokens: 1,
        homes: 0,
        keptHomes: 0,
      });
      const gone = await cli(["user", "show", "bob"]);
      assert.deepEqual(
        [gone.code, gone.error().code, gone.error().type],
        [1, 404, "USER_NOT_FOUND"],
      );
      const people = await cli(["user", "remove", "bob"], { isForPeople: true });
      assert.equal(people.code, 1);
      assert.match(people.stderr, /^mcp-supervisor: no such user\n.*user list/);
    },
  );

  await t.test("no secret that was handed in is in the log", () => {
    assert.doesNotMatch(daemon.log(), /s3cret|bobs-own|mcps_/);
    assert.ok(existsSync(daemon.socket));
  });
});

test("in a terminal the token is asked for, and what is typed is not shown", async (t) => {
  if (spawnSync("script", ["--version"]).error !== undefined) {
    t.skip("script (util-linux) is not on this machine");
    return;
  }
  const daemon = await startDaemon(t, { config: SERVERS });
  await daemon.addUser("alice");
  const command = [process.execPath, "--no-warnings", join(SRC, "cli", "main.ts")];
  const line = [...command, "token", "set", "alice", "--config", daemon.configPath].join(" ");
  const terminal = spawn("script", ["-qec", line, "/dev/null"], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  let shown = "";
  terminal.stdout.setEncoding("utf8").on("data", (chunk: string) => (shown += chunk));
  await until(() => shown.includes("Token of alice: "), "the question is there");
  terminal.stdin.write("typed-in-the-dark\r");
  const [code] = (await once(terminal, "close")) as [number];
  assert.equal(code, 0, shown);
  assert.match(shown, /fingerprint sha256:/);
  assert.doesNotMatch(shown, /typed|dark/);
  const digest = createHash("sha256").update("typed-in-the-dark").digest("hex");
  const { tokens } = (await daemon.cli(["token", "show", "alice"])).json<{
    tokens: { fingerprint: string }[];
  }>();
  assert.equal(tokens[0]?.fingerprint, `sha256:${digest.slice(0, 12)}`);
});

test("in a terminal a removal is asked about, and only a yes removes", async (t) => {
  if (spawnSync("script", ["--version"]).error !== undefined) {
    t.skip("script (util-linux) is not on this machine");
    return;
  }
  const daemon = await startDaemon(t, { config: SERVERS });
  await daemon.addUser("alice");
  const remove = async (answer: string, ...flags: string[]): Promise<[number, string]> => {
    const command = [process.execPath, "--no-warnings", join(SRC, "cli", "main.ts")];
    const words = [...command, "user", "remove", "alice", ...flags, "--config", daemon.configPath];
    const terminal = spawn("script", ["-qec", words.join(" "), "/dev/null"], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    let shown = "";
    terminal.stdout.setEncoding("utf8").on("data", (chunk: string) => (shown += chunk));
    const closed = once(terminal, "close") as Promise<[number]>;
    if (answer !== "") {
      await until(() => shown.includes("[y/N] "), "the question is there");
      terminal.stdin.write(answer);
    }
    return [(await closed)[0], shown];
  };
  const [code, told] = await remove("n\r");
  assert.equal(code, 2, told);
  assert.match(
    told,
    /Remove alice with all keys, tokens and private homes\? \[y\/N\].*nothing was changed/s,
  );
  const [interrupted] = await remove("\u0003");
  assert.equal(interrupted, 2);
  assert.equal((await daemon.cli(["user", "show", "alice"])).code, 0);
  const [done, said] = await remove("", "--yes");
  assert.equal(done, 0, said);
  assert.doesNotMatch(said, /y\/N/);
  await daemon.addUser("alice");
  assert.equal((await remove("y\r"))[0], 0);
  assert.equal((await daemon.cli(["user", "show", "alice"])).error().type, "USER_NOT_FOUND");
});

test("a daemon that vanishes while a command waits is unreachable, not a crash", async (t) => {
  const daemon = await startDaemon(t, { config: SERVERS, mayOrphan: true });
  const following = daemon.cli(["logs", "nobody"]);
  assert.equal((await following).error().type, "USER_NOT_FOUND");
  await daemon.stop("SIGKILL");
  const after = await daemon.cli(["user", "list"]);
  assert.equal(after.code, 69);
});
