import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { inspect } from "node:util";
import { loadConfig } from "../../src/config/config.ts";
import { SupervisorError } from "../../src/errors.ts";
import { temporaryFolder } from "../helpers/store.ts";

const SECRET = "a secret of thirty-two bytes at least";
const URLS = "http://server1:8999/sse,http://server2:8005/sse";
const ONE = { MCP_URL: "http://localhost:3000/sse" };

/** What `serve` reads in an empty folder, or beside these files. */
function rig(t: TestContext, files: Record<string, string> = {}) {
  const cwd = temporaryFolder(t);
  for (const [name, text] of Object.entries(files))
    writeFileSync(path.join(cwd, name), text, { mode: 0o600 });
  const load = (env: NodeJS.ProcessEnv = {}, isServed = true) => loadConfig({ env, cwd, isServed });
  const problems = (env: NodeJS.ProcessEnv): readonly string[] => {
    try {
      load(env);
    } catch (error) {
      assert.ok(error instanceof SupervisorError);
      assert.equal(error.code, "CONFIG_INVALID");
      assert.match(error.message, /^the environment: \d problems?$/);
      return error.details;
    }
    return [];
  };
  return { cwd, load, problems };
}

test("without a config file the variables of the MCP proxy API are the config", (t) => {
  const { cwd, load } = rig(t);
  const env = { MCP_URLS: ` ${URLS} ,,`, MCP_URL: "http://other:1/sse", JWT_SECRET: SECRET };
  const config = load(env);
  assert.deepEqual(env, { MCP_URLS: ` ${URLS} ,,`, MCP_URL: "http://other:1/sse" });
  assert.equal(config.path, null);
  assert.equal(config.dataDir, path.join(cwd, "data"));
  assert.deepEqual(config.listen, { host: "0.0.0.0", port: 5000 });
  assert.equal(config.publicUrl.href, "http://127.0.0.1:5000/");
  assert.equal(config.isolation, "auto");
  assert.equal(config.defaultServer, null);
  assert.deepEqual([config.servers, config.warnings], [{}, []]);
  assert.deepEqual(
    Object.values(config.environment).map((def) => [
      def.name,
      def.transport,
      def.kind === "remote" && def.url,
    ]),
    [
      ["server1-8999", "sse", "http://server1:8999/sse"],
      ["server2-8005", "sse", "http://server2:8005/sse"],
    ],
  );
  const [issuer] = config.jwt.issuers;
  assert.ok(issuer?.key.kind === "given");
  assert.equal(issuer.key.text.export().toString(), SECRET);
  assert.deepEqual(
    [issuer.name, issuer.issuer, issuer.algorithm, issuer.createUsers, issuer.allowShortSecret],
    ["jwt", null, "HS256", true, false],
  );
  assert.ok(!`${inspect(config, { depth: 9 })}${JSON.stringify(config)}`.includes(SECRET));
});

test("each variable says what it says, and what is empty says nothing", (t) => {
  const { cwd, load } = rig(t);
  const config = load({
    ...ONE,
    MCP_URLS: "",
    JWT_SECRET: SECRET,
    JWT_ALGORITHM: "HS512",
    JWT_ALLOW_SHORT_SECRET: "True",
    PORT: "8123",
    LOG_LEVEL: "",
    DEBUG: "false",
    MCP_SUPERVISOR_DATA: "elsewhere",
    ALLOWED_HOSTS: "proxy.example.com, mcp.internal:5000",
  });
  assert.equal(config.dataDir, path.join(cwd, "elsewhere"));
  assert.equal(config.listen.port, 8123);
  assert.equal(config.log.level, "info");
  assert.equal(config.defaultServer, "localhost-3000");
  assert.deepEqual(config.allowedHosts, ["proxy.example.com", "mcp.internal:5000"]);
  assert.equal(config.jwt.issuers[0]?.algorithm, "HS512");
  assert.equal(config.jwt.issuers[0]?.allowShortSecret, true);
  const levelOf = (env: object) => load({ ...ONE, ...env }).log.level;
  for (const [said, level] of [
    ["CRITICAL", "fatal"],
    ["ERROR", "error"],
    ["WARNING", "warn"],
    ["warn", "warn"],
    ["INFO", "info"],
    ["DEBUG", "debug"],
    ["NOTSET", "trace"],
    ["silent", "silent"],
  ] as const)
    assert.equal(levelOf({ LOG_LEVEL: said }), level);
  assert.equal(levelOf({ LOG_LEVEL: "ERROR", DEBUG: "True" }), "debug");
  assert.equal(levelOf({ LOG_LEVEL: "ERROR", DEBUG: "express:*" }), "error");
});

test("servers are named by host and port, once each and by no word of the paths", (t) => {
  const { load } = rig(t);
  const namesOf = (urls: string) => Object.keys(load({ MCP_URLS: urls }).environment);
  assert.deepEqual(
    namesOf("http://10.10.1.105:8999/sse,http://10.10.1.105:8999/mcp,http://10.10.1.105:8999/sse"),
    ["10-10-1-105-8999", "10-10-1-105-8999-2"],
  );
  assert.deepEqual(namesOf("https://MCP.example.com/mcp,http://sse/sse,http://[::1]:3000/sse"), [
    "mcp-example-com",
    "sse-2",
    "1-3000",
  ]);
});

test("all that is wrong with the variables is told at once, by their names, and no value is", (t) => {
  const { problems } = rig(t);
  assert.deepEqual(
    problems({
      MCP_URLS: "http://server1:8999/sse,nonsense,http://169.254.169.254/mcp",
      JWT_SECRET: SECRET,
      JWT_ALGORITHM: "none",
      JWT_ALLOW_SHORT_SECRET: "perhaps",
      PORT: "70000",
      LOG_LEVEL: "loud",
      ALLOWED_HOSTS: "*",
    }).map((line) => line.slice(0, 40)),
    [
      "PORT: must be at most 65535",
      "ALLOWED_HOSTS: must be a host name witho",
      'LOG_LEVEL: must be one of "fatal", "erro',
      'JWT_ALGORITHM: must be one of "HS256", "',
      "JWT_ALLOW_SHORT_SECRET: must be true or ",
      'MCP_URLS[1]: must be a URL such as "http',
      "MCP_URLS[2]: must not be a link-local or",
    ],
  );
  assert.match(problems({ ...ONE, PORT: "http" })[0]!, /^PORT: must be a number$/);
  const long = problems({ ...ONE, MCP_SUPERVISOR_DATA: `/${"x".repeat(120)}` });
  assert.match(long[0]!, /^MCP_SUPERVISOR_DATA: is \d+ bytes long/);
});

test("what the variables leave open is warned of", (t) => {
  const { load } = rig(t);
  assert.match(load(ONE).warnings.join(), /^JWT_SECRET: is not set, so nobody comes in but by an/);
  const short = load({ ...ONE, JWT_SECRET: "your-secret-key", JWT_ALLOW_SHORT_SECRET: "1" });
  assert.match(short.warnings.join(), /^JWT_ALLOW_SHORT_SECRET: lets in a secret under 32 bytes/);
});

test("a .env in the working folder counts below the environment, for these variables and no other", (t) => {
  const lines = [
    "\uFEFF# as it is copied from .env.example",
    "JWT_SECRET='a secret of thirty-two bytes # at least'",
    "export PORT=5001 # behind the other one",
    "MCP_URL=http://localhost:3000/sse",
    `MCP_URLS=${URLS}`,
    "MCP_SUPERVISOR_CONFIG=/nowhere/else.json",
    "NODE_OPTIONS=--inspect",
    "FEISHU_APP_ID=cli_1",
    "FEISHU_APP_SECRET=of-the-app",
  ];
  const { load } = rig(t, { ".env": lines.join("\n") });
  const env: NodeJS.ProcessEnv = { MCP_URLS: "http://server3:1/sse" };
  const config = load(env);
  assert.deepEqual(env, { MCP_URLS: "http://server3:1/sse" }, "nothing is put into it");
  assert.deepEqual(Object.keys(config.environment), ["server3-1"]);
  assert.equal(config.listen.port, 5001);
  const { key } = config.jwt.issuers[0]!;
  assert.equal(
    key.kind === "given" && key.text.export().toString(),
    "a secret of thirty-two bytes # at least",
  );
  assert.equal(config.ownApp?.id, "cli_1");
  assert.equal(config.ownApp.secret.export().toString(), "of-the-app");
  assert.equal(
    load({ FEISHU_APP_SECRET: "another" }).ownApp?.secret.export().toString(),
    "another",
  );
});

test("a .env that others can read and that holds a secret is refused, and by its name alone", (t) => {
  const { cwd, load } = rig(t, { ".env": `MCP_URLS=${URLS}\nJWT_SECRET=${SECRET}\n` });
  const file = path.join(cwd, ".env");
  for (const mode of [0o604, 0o640, 0o622]) {
    chmodSync(file, mode);
    for (const isServed of [true, false])
      assert.throws(() => load({ JWT_SECRET: "of the environment" }, isServed), {
        code: "CONFIG_UNREADABLE",
        message: `${file} holds JWT_SECRET and is open to other accounts: chmod 600 '${file}'`,
      });
  }
  writeFileSync(file, `MCP_URLS=${URLS}\nJWT_SECRET=\n`);
  assert.equal(Object.keys(load().environment).length, 2);
});

test("where nothing is said there is no config, and the refusal says what could be", (t) => {
  const { cwd, load } = rig(t);
  // As Python's virtual environments are called, too.
  mkdirSync(path.join(cwd, ".env"));
  assert.throws(
    () => load({ JWT_SECRET: SECRET, MCP_URLS: " , " }),
    (error) => {
      assert.ok(error instanceof SupervisorError);
      assert.equal(error.code, "CONFIG_UNREADABLE");
      assert.match(error.details.join("\n"), /MCP_URL or MCP_URLS name servers.*\.env$/);
      return true;
    },
  );
});

const FILE = {
  listen: { host: "127.0.0.1", port: 8040 },
  idleTimeout: "1m",
  servers: { "server1-8999": { command: "node" } },
};

test("beside a config file the variables add servers, and what else they say is ignored and told", (t) => {
  const { load } = rig(t, {
    "supervisor.config.json": JSON.stringify(FILE),
    ".env": "JWT_ALGORITHM=HS384\nFEISHU_APP_ID=cli_1\nFEISHU_APP_SECRET=s",
  });
  const env = {
    MCP_URLS: URLS,
    JWT_SECRET: SECRET,
    PORT: "1",
    DEBUG: "true",
    LOG_LEVEL: "nonsense",
    ALLOWED_HOSTS: "*",
    MCP_SUPERVISOR_DATA: "/elsewhere",
  };
  const config = load(env);
  assert.equal(env.JWT_SECRET, undefined);
  assert.deepEqual(Object.keys(config.servers), ["server1-8999"]);
  assert.deepEqual(Object.keys(config.environment), ["server1-8999-2", "server2-8005"]);
  assert.equal(config.environment["server2-8005"]?.idleTimeoutMs, 60_000);
  assert.equal(config.defaultServer, "server1-8999");
  assert.deepEqual([config.listen.port, config.log.level], [8040, "info"]);
  assert.deepEqual([config.jwt.issuers, config.allowedHosts], [[], []]);
  assert.equal(config.ownApp?.id, "cli_1");
  assert.deepEqual(config.warnings, [
    'environment: JWT_SECRET, JWT_ALGORITHM, ALLOWED_HOSTS without effect beside a config file, which has "jwt" and "allowedHosts" for that',
  ]);
  // Who asks for no more than the daemon's place reads no file of the folder that they happen to be in.
  assert.equal(load({}, false).ownApp, null);
  assert.throws(
    () => load({ MCP_URL: "nonsense" }),
    (error) => {
      assert.ok(error instanceof SupervisorError);
      assert.match(error.details.join(), /^MCP_URL\[0\]: must be a URL/);
      return true;
    },
  );
});
