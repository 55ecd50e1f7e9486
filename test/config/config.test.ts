import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { configJsonSchema, loadConfig, parseConfig } from "../../src/config/config.ts";
import type { ChildServer } from "../../src/config/config.ts";
import { SupervisorError } from "../../src/errors.ts";
import { BAD_NAMES, temporaryFolder } from "../helpers/store.ts";

const BASE = "/srv/mcp";
const MINIMAL = { defaultServer: "one", servers: { one: { command: "node" } } };

/** Every key of the config, as an admin would write it. */
const FULL = {
  dataDir: "./data",
  controlSocket: "run/control.sock",
  controlGroup: "mcp-admin",
  keyFile: "/etc/keys/vault.key",
  listen: { host: "::", port: 9000 },
  publicUrl: "https://mcp.example.com/tools",
  allowedHosts: ["mcp.internal:8040"],
  allowedOrigins: ["https://app.example.com", "vscode-webview://panel"],
  trustProxy: ["127.0.0.1", "10.0.0.0/8", "::1"],
  admin: { host: "127.0.0.1", port: 8041 },
  ports: { from: 42_000, to: 42_999, pin: { "alice/gmail": 8841, "bob/gmail": 8842 } },
  isolation: "none",
  limits: {
    children: 20,
    memory: "8G",
    spawnConcurrency: 3,
    streamsPerUser: 32,
    sessionsPerUser: 128,
    childrenPerUser: 8,
    bodyBytes: 1000,
    unread: "8M",
    unreadTotal: "16M",
  },
  sessionTtl: "2h",
  resumeWindow: "0s",
  eventLog: 0,
  stopTimeout: "250ms",
  startTimeout: "30s",
  drainTimeout: "1m",
  idleTimeout: "7d",
  selfService: false,
  pages: { logs: false },
  allowPrivate: true,
  log: { level: "debug" },
  jwt: null,
  providers: {},
  uids: null,
  defaultServer: "gmail",
  servers: {
    gmail: {
      type: "sse",
      command: "python",
      // As people start it by hand today.
      args: "-m fastmcp run gmail_mcp/main.py --transport sse --port ${port}".split(" "),
      cwd: "./mcp_server",
      env: {
        API_PROXY_URL: "http://localhost:8031",
        AUTH_API_URL: "http://localhost:8030",
        MAILPIT_SMTP_HOST: "localhost",
      },
      reach: [8030, 8031, 1025],
      tokenEnv: "USER_ACCESS_TOKEN",
      idleTimeout: "15m",
      drainTimeout: "10s",
      stateful: true,
      overlap: false,
      resend: "annotated",
      routes: ["/files", "/hooks/in/"],
      sharing: "user",
      isolation: "user",
      network: "none",
      paths: { read: ["shared"], write: ["/var/lib/mail"] },
      limits: { memory: "512M", pids: 64, cpu: 0.5 },
    },
    drawing: {
      url: "http://localhost:3001/sse",
      headers: { Authorization: "Bearer ${token}", "X-For": "${user}" },
    },
    notes: { url: "https://notes.example.com/${user}/mcp", startTimeout: "5s", manifest: false },
    files: { command: "./bin/files" },
  },
};

/** The problems that a config is refused for. */
function problemsOf(value: unknown, baseDir = BASE): readonly string[] {
  try {
    parseConfig(value, baseDir, { env: {} });
  } catch (error) {
    assert.ok(error instanceof SupervisorError);
    assert.equal(error.code, "CONFIG_INVALID");
    assert.equal(error.exit, 78);
    return error.details;
  }
  return [];
}

const withServer = (server: unknown): unknown => ({ ...MINIMAL, servers: { one: server } });

test("every key of the design is read, with absolute paths, milliseconds and bytes", () => {
  const config = parseConfig(FULL, BASE, { env: {} });
  assert.equal(config.dataDir, "/srv/mcp/data");
  assert.equal(config.controlSocket, "/srv/mcp/run/control.sock");
  assert.equal(config.keyFile, "/etc/keys/vault.key");
  assert.equal(config.publicUrl.href, "https://mcp.example.com/tools");
  assert.deepEqual(config.limits, {
    children: 20,
    memoryBytes: 8 * 2 ** 30,
    spawnConcurrency: 3,
    streamsPerUser: 32,
    sessionsPerUser: 128,
    childrenPerUser: 8,
    bodyBytes: 1000,
    unreadBytes: 8 * 2 ** 20,
    unreadTotalBytes: 16 * 2 ** 20,
  });
  assert.equal(config.sessionTtlMs, 7_200_000);
  assert.equal(config.resumeWindowMs, 0);
  assert.equal(config.stopTimeoutMs, 250);
  assert.equal(config.idleTimeoutMs, 604_800_000);
  assert.deepEqual(config.servers["gmail"], {
    kind: "child",
    name: "gmail",
    title: "gmail",
    tokensFrom: null,
    idleTimeoutMs: 900_000,
    startTimeoutMs: 30_000,
    drainTimeoutMs: 10_000,
    stateful: true,
    overlap: false,
    resend: "annotated",
    routes: ["/files", "/hooks/in/"],
    manifest: false,
    sharing: "user",
    transport: "sse",
    command: "python",
    args: FULL.servers.gmail.args,
    cwd: "/srv/mcp/mcp_server",
    env: FULL.servers.gmail.env,
    path: "/sse",
    tokenEnv: "USER_ACCESS_TOKEN",
    tokenFile: false,
    isolation: "user",
    network: "none",
    reach: [8030, 8031, 1025],
    paths: { read: ["/srv/mcp/shared"], write: ["/var/lib/mail"] },
    limits: { memoryBytes: 512 * 2 ** 20, pids: 64, cpu: 0.5 },
  });
  assert.deepEqual(config.servers["drawing"], {
    kind: "remote",
    name: "drawing",
    title: "drawing",
    tokensFrom: null,
    idleTimeoutMs: 604_800_000,
    startTimeoutMs: 30_000,
    drainTimeoutMs: 60_000,
    stateful: false,
    overlap: true,
    resend: "reads",
    routes: [],
    manifest: true,
    sharing: "capabilities",
    transport: "sse",
    url: "http://localhost:3001/sse",
    headers: { Authorization: "Bearer ${token}", "X-For": "${user}" },
  });
  assert.equal(config.servers["notes"]!.transport, "http");
  assert.equal(config.servers["notes"]!.startTimeoutMs, 5000);
  assert.equal(config.servers["notes"]!.manifest, false);
  const files = config.servers["files"] as ChildServer;
  assert.deepEqual(
    [files.transport, files.command, files.cwd, files.isolation, files.path],
    ["stdio", "./bin/files", BASE, "none", ""],
  );
});

test("what is left out takes the defaults of the design", () => {
  const config = parseConfig(MINIMAL, BASE, { env: {} });
  assert.equal(config.controlSocket, "/srv/mcp/data/control.sock");
  assert.equal(config.keyFile, "/srv/mcp/data/vault.key");
  assert.deepEqual(config.listen, { host: "127.0.0.1", port: 8040 });
  assert.equal(config.publicUrl.href, "http://127.0.0.1:8040/");
  assert.deepEqual(config.ports, { from: 42_000, to: 42_999, pin: {} });
  assert.equal(config.admin, false);
  assert.equal(config.limits.spawnConcurrency, "cores");
  // Two windows on five servers are ten children.
  assert.equal(config.limits.childrenPerUser, 16);
  assert.equal(config.idleTimeoutMs, 900_000);
  assert.equal(config.drainTimeoutMs, 30_000);
  assert.equal(config.sessionTtlMs, 86_400_000);
  assert.equal(config.eventLog, 256);
});

test("the public URL follows the listener where it is not given", () => {
  const publicUrl = (listen: object): string =>
    parseConfig({ ...MINIMAL, listen }, BASE).publicUrl.origin;
  assert.equal(publicUrl({ host: "0.0.0.0", port: 9000 }), "http://127.0.0.1:9000");
  assert.equal(publicUrl({ host: "::" }), "http://127.0.0.1:8040");
  assert.equal(publicUrl({ host: "::1" }), "http://[::1]:8040");
  assert.equal(publicUrl({ host: "box.lan" }), "http://box.lan:8040");
});

test("all problems are told at once, each with its place", () => {
  const problems = problemsOf({
    lisen: {},
    isolation: "none",
    listen: { prot: 1 },
    idleTimeout: "30 minutes",
    limits: { memory: "8Q", children: 0, spawnConcurrency: "many" },
    ports: {
      from: 5000,
      to: 4000,
      pin: { alice: 1, "alice/none": 2, "alice/web": 3, "bob/web": 3 },
    },
    log: { level: "loud" },
    defaultServer: "wbe",
    servers: {
      web: { type: "sse", command: "x", agrs: [], env: { "A B": "x" }, limits: { memry: 1 } },
      both: { command: "x", url: "http://x/sse" },
      neither: {},
      far: { url: "http://x/sse", args: ["x"], headers: { Host: "x" } },
    },
  });
  assert.deepEqual(
    problems.map((line) => line.slice(0, line.indexOf(":"))).toSorted(),
    [
      "defaultServer",
      "idleTimeout",
      "limits.children",
      "limits.memory",
      "limits.spawnConcurrency",
      "lisen",
      "listen.prot",
      "log.level",
      "ports.pin.alice",
      'ports.pin["alice/none"]',
      'ports.pin["bob/web"]',
      "ports.to",
      "servers.both.url",
      "servers.far.args",
      "servers.far.headers.Host",
      "servers.neither.command",
      "servers.web.agrs",
      'servers.web.env["A B"]',
      "servers.web.limits.memry",
    ].toSorted(),
  );
});

test("a route is the beginning of a path and nothing that could be read as another", () => {
  const problemsIn = (entry: object) => problemsOf({ servers: { one: entry } });
  const remote = (route: string) => problemsIn({ url: "http://h/mcp", routes: [route] });
  for (const route of ["/", "/a", "/a/", "/a/b.c/~d", "/.well-known"])
    assert.deepEqual(remote(route), [], route);
  for (const route of [
    "",
    "a",
    "//",
    "/a//b",
    "/..",
    "/a/../b",
    "/./a",
    "/a%2f",
    "/a?b",
    "/a b",
    "/a;b",
  ])
    assert.match(remote(route)[0]!, /^servers\.one\.routes\[0\]: must be the beginning/, route);
  assert.match(
    problemsIn({ command: "x", routes: ["/a"] })[0]!,
    /^servers\.one\.routes: is of no use/,
  );
  assert.match(
    problemsIn({ builtin: "feishu-token", routes: [] })[0]!,
    /cannot stand beside "builtin"/,
  );
});

test("a mistyped key is answered with the one that was meant", () => {
  const [problem, ...rest] = problemsOf({ ...MINIMAL, lisen: {} });
  assert.equal(problem, 'lisen: is not a known key, did you mean "listen"?');
  assert.deepEqual(rest, []);
  const inServer = problemsOf(withServer({ command: "x", token_env: "T", coffee: 1 }));
  assert.deepEqual(inServer, [
    'servers.one.token_env: is not a known key, did you mean "tokenEnv"?',
    "servers.one.coffee: is not a known key",
  ]);
  const remote = problemsOf(withServer({ url: "http://x/mcp", headrs: {} }));
  assert.deepEqual(remote, ['servers.one.headrs: is not a known key, did you mean "headers"?']);
  assert.deepEqual(problemsOf({ ...MINIMAL, defaultServer: "on" }), [
    'defaultServer: is not one of the servers, did you mean "one"?',
  ]);
});

test("a server that is part of the daemon has an app, or users and clients name theirs, and it has nothing of a child or a remote", () => {
  const builtin = "feishu-token";
  const parsed = (server: object) => parseConfig(withServer(server), BASE, { env: {} });
  const { one } = parsed({ builtin }).servers;
  assert.ok(one?.kind === "builtin");
  assert.deepEqual(
    [one.baseUrl, one.app, one.sessionConfig],
    ["https://open.feishu.cn", null, false],
  );
  const apps = [{ appId: "cli_1", appSecretFile: "run/x" }, { appId: "cli_1" }].map((more) => {
    const { one: def } = parsed({ builtin, sessionConfig: true, ...more }).servers;
    return def?.kind === "builtin" && def.app?.secretFile;
  });
  assert.deepEqual(apps, [`${BASE}/run/x`, `${BASE}/data/one.secret`]);
  const problems: [object, string][] = [
    [{ builtin: "feishu" }, 'servers.one.builtin: must be one of "feishu-token"'],
    [{ builtin, env: {} }, 'servers.one.env: cannot stand beside "builtin"'],
    [{ builtin, resend: "reads" }, 'servers.one.resend: cannot stand beside "builtin"'],
    [{ builtin, stateful: true }, 'servers.one.stateful: cannot stand beside "builtin"'],
    [{ builtin, appid: "x" }, 'servers.one.appid: is not a known key, did you mean "appId"?'],
    [{ builtin, appSecretFile: "x" }, 'servers.one.appSecretFile: is of no use without an "appId"'],
    [
      { builtin, baseUrl: "http://example.com" },
      "servers.one.baseUrl: must begin with https://, or be on this machine: secrets go there",
    ],
    [
      { command: "x", sessionConfig: true },
      'servers.one.sessionConfig: cannot stand beside "command"',
    ],
    [{ url: "http://x/mcp", builtin }, "servers.one.builtin: cannot stand beside a URL"],
    [{}, "servers.one.command: is missing"],
  ];
  for (const [server, problem] of problems)
    assert.deepEqual(problemsOf(withServer(server)), [problem]);
});

for (const [what, name] of Object.entries(BAD_NAMES)) {
  if (name === "__proto__") continue;
  test(`a server name ${what} is refused in one short printable line`, () => {
    const problems = problemsOf({ ...MINIMAL, servers: { ...MINIMAL.servers, [name]: {} } });
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /^servers[.[][\x20-\x7e…]+ must be 1 to 63 characters from a-z/);
    assert.ok(problems[0]!.length < 600);
  });
}

test("the words of the path grammar are no server names", () => {
  for (const name of ["sse", "mcp", "messages", "token", "connect"])
    assert.match(
      problemsOf({ ...MINIMAL, servers: { ...MINIMAL.servers, [name]: { command: "x" } } })[0]!,
      /must not be one of/,
    );
});

test("durations and sizes outside of their forms are refused", () => {
  for (const idleTimeout of ["", "15", "1.5h", "-1s", "0s", "25d", "15M", 900, null])
    assert.equal(problemsOf({ ...MINIMAL, idleTimeout }).length, 1, String(idleTimeout));
  for (const memory of ["", "0", 0, -1, 1.5, "8g", "8GB", "99999999999G", null])
    assert.equal(problemsOf({ ...MINIMAL, limits: { memory } }).length, 1, String(memory));
});

test("a header that is there twice, in another case, is refused by its name", () => {
  const headers = { "X-Key": "one", "x-key": "two" };
  assert.deepEqual(problemsOf(withServer({ url: "http://a/mcp", headers })), [
    "servers.one.headers.x-key: is there twice, in another case: a header has one name",
  ]);
});

test("an issuer of JWTs has one key, one algorithm that fits it, and a name that no other has", () => {
  const jwt = { issuers: [{ secretFile: "jwt.secret", audience: "mcp", maxLifetime: "1h" }] };
  assert.deepEqual(parseConfig({ ...MINIMAL, jwt }, "/etc/x").jwt.issuers, [
    {
      name: "jwt",
      issuer: null,
      algorithm: "HS256",
      key: { kind: "secret", file: "/etc/x/jwt.secret" },
      audience: ["mcp"],
      userClaims: ["user_id", "sub"],
      leewayMs: 30_000,
      maxLifetimeMs: 3_600_000,
      createUsers: false,
      allowShortSecret: false,
    },
  ]);
  assert.deepEqual(parseConfig(MINIMAL, "/etc/x").jwt, { issuers: [] });
  const secret = { secretFile: "x" };
  const pem = { publicKeyFile: "x", algorithm: "RS256" };
  const refused: [object[], RegExp][] = [
    [[{}], /^jwt.issuers\[0\]: must have one of "secretFile", "publicKeyFile" and "jwksUrl"/],
    [[{ ...secret, jwksUrl: "https://x.example/keys" }], /must have one of/],
    [[{ ...secret, algorithm: "RS256" }], /algorithm: is none for a "secretFile"/],
    [[{ publicKeyFile: "x" }], /algorithm: is one for a "secretFile"/],
    [[{ ...pem, algorithm: "none" }], /algorithm: must be one of "HS256"/],
    [[{ ...secret, privateKeyFile: "x" }], /privateKeyFile: is of no use without/],
    [[{ ...pem, allowShortSecret: true }], /allowShortSecret: is of no use without/],
    [[secret, secret], /issuers\[1\].issuer: is missing, and another has none/],
    [
      [
        { ...pem, issuer: "a" },
        { ...pem, issuer: "a" },
      ],
      /issuers\[1\].issuer: is another's/,
    ],
    [[{ ...secret, issuer: "key" }], /issuer: is a name of ours/],
    [[{ ...secret, leeway: "61s" }], /leeway: must be at most 60s/],
    [
      [{ jwksUrl: "http://sso.example/keys", algorithm: "RS256" }],
      /jwksUrl: must begin with https/,
    ],
  ];
  for (const [issuers, why] of refused) {
    const problems = problemsOf({ ...MINIMAL, jwt: { issuers } });
    assert.equal(problems.length, 1, problems.join());
    assert.match(problems[0]!, why);
  }
});

test("a secret that may be short is warned of", () => {
  const jwt = { issuers: [{ secretFile: "x", allowShortSecret: true }] };
  assert.match(
    parseConfig({ ...MINIMAL, jwt }, "/etc/x").warnings[0]!,
    /^jwt.issuers\[0\].allowShortSecret: .*openssl rand/,
  );
});

const SSO = {
  kind: "oauth2",
  authorizeUrl: "https://sso.example.com/authorize",
  tokenUrl: "https://sso.example.com/token",
  clientId: "mcp",
};
const fed = (provider: object, server: object = { command: "x", provider: "sso" }): object => ({
  providers: { sso: provider },
  servers: { one: server },
});

test("a provider is told by its kind, and its secret lies in a file that the config names at most", () => {
  const { providers, servers } = parseConfig(
    {
      ...fed(SSO),
      providers: {
        sso: { ...SSO, clientSecretFile: "keys/sso", defaultExpiresIn: "10m" },
        mail: { kind: "google", clientId: "m" },
        feishu: { kind: "feishu", clientId: "cli_1" },
      },
    },
    BASE,
    { env: {} },
  );
  assert.deepEqual(servers["one"]!.tokensFrom, { provider: "sso", grant: "user" });
  const { sso, mail, feishu } = providers;
  assert.equal(sso!.clientSecretFile, `${BASE}/keys/sso`);
  assert.equal(sso!.defaultExpiresInMs, 600_000);
  assert.equal(mail!.clientSecretFile, `${BASE}/data/mail.secret`);
  assert.equal(mail?.kind === "google" && mail.tokenUrl, "https://oauth2.googleapis.com/token");
  assert.equal(feishu?.kind === "feishu" && feishu.baseUrl, "https://open.feishu.cn");
});

test("a credential of systemd is taken for a provider's secret where no file is named", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(path.join(folder, "sso.secret"), "s");
  const env = { CREDENTIALS_DIRECTORY: folder };
  const { providers } = parseConfig(fed(SSO), BASE, { env });
  assert.equal(providers["sso"]!.clientSecretFile, path.join(folder, "sso.secret"));
});

test("what is wrong with a provider is told where it stands, without what was written there", () => {
  const of = (provider: object): readonly string[] => problemsOf(fed(provider));
  const clear = { ...SSO, tokenUrl: "http://sso.example.com/token" };
  assert.deepEqual(of({ ...SSO, clientSecret: "hush" }), [
    'providers.sso.clientSecret: is not a known key, did you mean "clientSecretFile"?',
  ]);
  assert.match(of(clear).join(), /^providers.sso.tokenUrl: must begin with https:\/\//);
  assert.deepEqual(of({ ...clear, tokenUrl: "http://127.0.0.1:9/token" }), []);
  assert.match(of({ ...SSO, tokenUrl: "https://169.254.169.254/" }).join(), /metadata address/);
  assert.deepEqual(of({ kind: "github", clientId: "x" }), [
    'providers.sso.kind: must be "oauth2", "google" or "feishu"',
  ]);
  assert.deepEqual(of({ kind: "feishu" }), ["providers.sso.clientId: is missing"]);
});

test("who is told is named by files, each once, and what is wrong with one is told where it stands", () => {
  const of = (...notices: object[]): unknown => ({ ...MINIMAL, notices });
  const slack = { kind: "slack", urlFile: "keys/slack" };
  const feishu = { kind: "feishu", urlFile: "/keys/feishu", secretFile: "keys/secret", lang: "zh" };
  assert.deepEqual(parseConfig(of(slack, feishu), BASE, { env: {} }).notices, [
    { kind: "slack", urlFile: `${BASE}/keys/slack`, lang: "en" },
    { ...feishu, secretFile: `${BASE}/keys/secret` },
  ]);
  const wrong: Record<string, object[]> = {
    'notices[0].kind: must be "json", "slack" or "feishu"': [{ kind: "mail", urlFile: "x" }],
    "notices[0].url: is not a known key": [{ ...slack, url: "https://h" }],
    "notices[0].secretFile: is a key of another kind": [{ ...slack, secretFile: "x" }],
    "notices[0].urlFile: is missing": [{ kind: "json" }],
    "notices[1].urlFile: is there twice": [slack, { ...feishu, urlFile: slack.urlFile }],
  };
  for (const [problem, notices] of Object.entries(wrong))
    assert.deepEqual(problemsOf(of(...notices)), [problem]);
});

test("a server and its provider fit each other", () => {
  const of = (server: object, provider: object = SSO): readonly string[] =>
    problemsOf(fed(provider, server));
  assert.deepEqual(of({ command: "x", provider: "sos" }), [
    'servers.one.provider: is not one of the providers, did you mean "sso"?',
  ]);
  assert.deepEqual(of({ command: "x", grant: "user" }), [
    'servers.one.grant: is of no use without a "provider"',
  ]);
  assert.deepEqual(of({ command: "x", provider: "sso", grant: "tenant" }), [
    'servers.one.grant: is not among those of oauth2: "user", "client_credentials"',
  ]);
  assert.deepEqual(of({ url: "https://x.example.com/mcp", provider: "sso" }), [
    "servers.one.provider: is of no use: no header of this server holds ${token}",
  ]);
  const feishu = { kind: "feishu", clientId: "cli_1" };
  assert.deepEqual(of({ command: "x", provider: "sso", grant: "tenant" }, feishu), []);
});

test("placeholders stand only where they are filled in", () => {
  const problems = (server: object): readonly string[] =>
    problemsOf(withServer({ ...server })).map((line) => line.slice(0, line.indexOf(":")));
  const child = { type: "http", command: "x" };
  assert.deepEqual(problems({ ...child, args: ["${port}", "a${user}b"], path: "/${user}" }), []);
  assert.deepEqual(problems({ ...child, args: ["${token}"] }), ["servers.one.args[0]"]);
  assert.deepEqual(problems({ ...child, env: { A: "${HOME}" } }), ["servers.one.env.A"]);
  assert.deepEqual(problems({ ...child, cwd: "/srv/${user}" }), ["servers.one.cwd"]);
  assert.deepEqual(problems({ ...child, command: "${user}" }), ["servers.one.command"]);
  assert.deepEqual(problems({ command: "x", args: ["${port}"] }), ["servers.one.args[0]"]);
  const url = "http://x/mcp";
  assert.deepEqual(problems({ url, headers: { A: "${token}${user}" } }), []);
  assert.deepEqual(problems({ url, headers: { A: "${port}" } }), ["servers.one.headers.A"]);
  assert.deepEqual(problems({ url: "http://x/${token}" }), ["servers.one.url"]);
});

test("a fixed value for the variable that carries the token is refused", () => {
  assert.match(
    problemsOf(withServer({ command: "x", env: { USER_ACCESS_TOKEN: "x" } }))[0]!,
    /^servers\.one\.env\.USER_ACCESS_TOKEN: /,
  );
});

test("headers that frame a message, forge the protocol or break a line are refused", () => {
  const url = "http://x/mcp";
  const names = ["Host", "content-length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE"];
  names.push("Trailer", "Upgrade", "Proxy-Authorization", "Expect", "Mcp-Session-Id");
  names.push("MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "a b", "a:b", "");
  for (const name of names)
    assert.equal(problemsOf(withServer({ url, headers: { [name]: "x" } })).length, 1, name);
  for (const value of ["a\r\nb: c", "a\nb", "a\0", "\u20ac"])
    assert.equal(problemsOf(withServer({ url, headers: { A: value } })).length, 1);
});

test("URLs that are not http, carry a password or lead to a metadata service are refused", () => {
  const urls = ["ftp://x/", "x", "http:x", "http://a:b@x/", "http://x/a b", "file:///etc/passwd"];
  urls.push("http://169.254.169.254/latest", "http://0xa9fea9fe/", "http://[fe80::1]/");
  for (const url of urls) assert.equal(problemsOf(withServer({ url })).length, 1, url);
  for (const publicUrl of ["x", "https://a:b@x", "https://x/?a", "https://x/#a", "https://x/a%20b"])
    assert.equal(problemsOf({ ...MINIMAL, publicUrl }).length, 1, publicUrl);
});

test("a path that could name another host is refused", () => {
  for (const route of ["sse", "//evil.example/sse", "/\\evil", "/a b", "/a#b"])
    assert.equal(problemsOf(withServer({ type: "sse", command: "x", path: route })).length, 1);
});

test("no problem repeats a value, which may be a secret", () => {
  const secret = "s3cret-value";
  const lines = problemsOf({
    ...MINIMAL,
    dataDir: 5,
    isolation: secret,
    publicUrl: secret,
    sessionTtl: secret,
    allowedHosts: [`${secret}/`],
    trustProxy: [secret],
    servers: { one: { url: "http://x/mcp", headers: { A: `${secret}\r\n`, B: `\${${secret}}` } } },
  });
  assert.equal(lines.length, 8);
  assert.doesNotMatch(lines.join("\n"), /s3cret/);
});

test("a control socket path that is too long for the system is refused with the way out", () => {
  const [problem] = problemsOf({ ...MINIMAL, dataDir: `/${"d".repeat(100)}` });
  assert.match(problem!, /^controlSocket: is 114 bytes .* 107; set it to a short path/);
  const controlSocket = "/run/c.sock";
  assert.deepEqual(problemsOf({ ...MINIMAL, dataDir: `/${"d".repeat(100)}`, controlSocket }), []);
  // 107 bytes exactly.
  assert.deepEqual(problemsOf({ ...MINIMAL, dataDir: `/${"d".repeat(93)}` }), []);
});

test("a pinned port must belong to a server with ports, and to one user only", () => {
  const pin = (pins: Record<string, number>): readonly string[] =>
    problemsOf({ ...FULL, ports: { pin: pins } });
  assert.match(pin({ "alice/files": 8841 })[0]!, /has no port/);
  assert.match(pin({ "alice/drawing": 8841 })[0]!, /has no port/);
  assert.match(pin({ "alice/gmail": 9000 })[0]!, /is the port of listen already/);
  assert.match(pin({ "alice/gmail": 1, "bob/gmail": 1 })[0]!, /^ports\.pin\["bob\/gmail"\]/);
  assert.match(pin({ "../gmail": 1 })[0]!, /must be named "user\/server"/);
});

test("a pin and a sandbox exclude each other, and both ways out are named", () => {
  const pinned = (isolation?: string, own?: string): readonly string[] =>
    problemsOf({
      isolation,
      ports: { pin: { "alice/gmail": 8841 } },
      servers: { gmail: { type: "sse", command: "x", isolation: own } },
    });
  for (const [isolation, own] of [
    [undefined, undefined],
    ["auto", undefined],
    ["sandbox", undefined],
    ["none", "auto"],
    ["user", "sandbox"],
  ] as const) {
    const [problem, ...rest] = pinned(isolation, own);
    assert.deepEqual(rest, []);
    assert.match(
      problem!,
      /^ports\.pin\["alice\/gmail"\]: .*personal URL; or write "isolation": "user" or "none"/,
    );
  }
  for (const [isolation, own] of [
    ["none", undefined],
    ["user", undefined],
    ["auto", "user"],
    ["sandbox", "none"],
  ] as const)
    assert.deepEqual(pinned(isolation, own), []);
});

test("the key comes from systemd's credentials where there is one", (t) => {
  const credentials = temporaryFolder(t);
  const env = { CREDENTIALS_DIRECTORY: credentials };
  assert.equal(parseConfig(MINIMAL, BASE, { env }).keyFile, "/srv/mcp/data/vault.key");
  writeFileSync(path.join(credentials, "vault.key"), "");
  assert.equal(parseConfig(MINIMAL, BASE, { env }).keyFile, path.join(credentials, "vault.key"));
  const keyFile = "./own.key";
  assert.equal(parseConfig({ ...MINIMAL, keyFile }, BASE, { env }).keyFile, "/srv/mcp/own.key");
});

test("something that is no object is one clear problem", () => {
  for (const value of [5, null, "x", []])
    assert.deepEqual(problemsOf(value), ["config: must be an object"]);
});

test("the file is found by option, then variable, then folder", (t) => {
  const cwd = temporaryFolder(t);
  const write = (name: string, dataDir: string): void =>
    writeFileSync(path.join(cwd, name), JSON.stringify({ ...MINIMAL, dataDir }));
  const env = { MCP_SUPERVISOR_CONFIG: "variable.json" };
  assert.throws(() => loadConfig({ cwd, env }), { code: "CONFIG_UNREADABLE" });
  write("supervisor.config.json", "folder");
  assert.throws(() => loadConfig({ cwd, env }), { code: "CONFIG_UNREADABLE" });
  assert.equal(loadConfig({ cwd, env: {} }).dataDir, path.join(cwd, "folder"));
  write("variable.json", "variable");
  assert.equal(loadConfig({ cwd, env }).dataDir, path.join(cwd, "variable"));
  mkdirSync(path.join(cwd, "etc"));
  write("etc/option.json", "option");
  const found = loadConfig({ path: "etc/option.json", cwd, env });
  assert.equal(found.dataDir, path.join(cwd, "etc/option"));
  assert.equal(found.path, path.join(cwd, "etc/option.json"));
  assert.throws(() => loadConfig({ path: "etc", cwd, env }), /cannot be read \(EISDIR\)/);
});

test("a file that is not JSON is refused with the place and without its text", (t) => {
  const file = path.join(temporaryFolder(t), "c.json");
  writeFileSync(file, '\uFEFF{\n  "listen": {},\n  "listen" "s3cret"\n}');
  assert.throws(
    () => loadConfig({ path: file, env: {} }),
    (error: SupervisorError) => {
      assert.equal(error.code, "CONFIG_INVALID");
      assert.ok(error.details.includes("line 3, column 12: expected :"));
      assert.doesNotMatch(error.details.join(), /s3cret/);
      return true;
    },
  );
});

test("a key given twice is told together with what else is wrong", (t) => {
  const file = path.join(temporaryFolder(t), "c.json");
  writeFileSync(file, '{"defaultServer":"a","servers":{"a":{"url":"x"},"a":{"comand":"x"}}}');
  assert.throws(
    () => loadConfig({ path: file, env: {} }),
    (error: SupervisorError) => {
      assert.equal(error.message, `${file}: 3 problems`);
      assert.equal(error.details[0], "line 1, column 49: a key is given twice in one object");
      return true;
    },
  );
});

test("the config of this repository is a valid one", () => {
  const config = loadConfig({ path: "supervisor.config.json", env: {} });
  assert.deepEqual(Object.keys(config.servers), ["everything"]);
});

test("a file that names no default server means its only one, or else the usual one", () => {
  const server = { command: "node" };
  assert.equal(parseConfig({ servers: { gmail: server } }, "/").defaultServer, "gmail");
  const two = { gmail: server, everything: server };
  assert.equal(parseConfig({ servers: two }, "/").defaultServer, "everything");
  assert.deepEqual(problemsOf({ servers: { gmail: server, drawing: server } }), [
    "defaultServer: is missing, and there is not just one server",
  ]);
});

test("entries of other programs mean what they mean there", () => {
  const { servers, disabled, defaultServer } = parseConfig(
    {
      servers: {
        a: { type: "streamable-http", command: "x" },
        b: { type: "streamableHttp", url: "http://x/sse" },
        c: { transport: "sse", command: "x" },
        d: { transport: "streamable-http", serverUrl: "http://x/y" },
        e: { serverUrl: "http://x/sse", disabled: false },
        f: { url: "http://x/mcp", serverUrl: "http://x/mcp" },
        g: { type: "http", transport: "streamable-http", command: "x" },
        h: { command: "x", disabled: true },
        everything: { command: "x" },
      },
    },
    BASE,
    { env: {} },
  );
  const transports = Object.values(servers).map(({ transport }) => transport);
  assert.deepEqual(transports, ["http", "http", "sse", "http", "sse", "http", "http", "stdio"]);
  assert.deepEqual(
    Object.values(servers).flatMap((def) => (def.kind === "remote" ? [def.url] : [])),
    ["http://x/sse", "http://x/y", "http://x/sse", "http://x/mcp"],
  );
  assert.deepEqual([Object.keys(disabled), defaultServer], [["h"], "everything"]);
});

test("two keys for one thing must say the same", () => {
  assert.deepEqual(
    problemsOf(withServer({ type: "sse", transport: "streamable-http", command: "x" })),
    ['servers.one.transport: says otherwise than "type"'],
  );
  const urls = { url: "http://x/a", serverUrl: "http://x/b" };
  assert.deepEqual(problemsOf(withServer(urls)), [
    'servers.one.serverUrl: says otherwise than "url"',
  ]);
  assert.deepEqual(problemsOf(withServer({ command: "x", serverUrl: "http://x" })), [
    'servers.one.serverUrl: cannot stand beside "command"',
  ]);
  assert.match(problemsOf(withServer({ serverUrl: "ftp://x" }))[0]!, /^servers\.one\.serverUrl: /);
  assert.deepEqual(problemsOf(withServer({ serverUrl: "http://x/mcp", headrs: {} })), [
    'servers.one.headrs: is not a known key, did you mean "headers"?',
  ]);
});

test("the words of the other kind of server hold for their other names too", () => {
  const child = { transport: "stdio", command: "x", args: ["${port}"] };
  assert.match(problemsOf(withServer(child))[0]!, /^servers\.one\.args\[0\]: .* stdio server/);
  const http = { ...child, transport: "streamableHttp" };
  assert.deepEqual(problemsOf(withServer(http)), []);
});

test("keys that mean nothing here are named, and those that keep tools back refused", () => {
  const idle = { autoApprove: ["x"], alwaysAllow: [], timeout: 60, description: "x", icon: "x" };
  for (const entry of [{ command: "x" }, { url: "http://x/mcp" }, { serverUrl: "http://x/mcp" }]) {
    const config = withServer({ ...entry, ...idle });
    const { warnings } = parseConfig(config, BASE, { env: {} });
    assert.deepEqual(
      warnings,
      Object.keys(idle).map(
        (key) => `servers.one.${key}: is another program's key, and has no effect here`,
      ),
    );
    for (const key of ["disabledTools", "enabledTools", "includeTools", "excludeTools"])
      assert.match(
        problemsOf(withServer({ ...entry, [key]: ["delete"] })).join("\n"),
        new RegExp(`^servers\\.one\\.${key}: keeps tools back elsewhere and cannot here.*$`),
      );
  }
});

test("the default server is one that is not disabled", () => {
  const two = { a: { command: "x" }, b: { command: "x", disabled: true } };
  assert.equal(parseConfig({ servers: two }, BASE, { env: {} }).defaultServer, "a");
  assert.deepEqual(problemsOf({ servers: two, defaultServer: "b" }), [
    "defaultServer: names a server that is disabled",
  ]);
  assert.deepEqual(problemsOf({ servers: { b: two.b } }), [
    "defaultServer: is missing, and every server is disabled",
  ]);
  assert.deepEqual(problemsOf(withServer({ command: "x", disabled: "yes" })), [
    "servers.one.disabled: must be true or false",
  ]);
});

test("a file of another program is told how its entries become servers, with all else that is wrong", () => {
  const entries = { Mail: { command: "x" }, notes: { url: "http://x/mcp", agrs: [] } };
  const [first, ...rest] = problemsOf({ mcpServers: entries, defaultServer: "notes" });
  assert.match(first!, /^mcpServers: .* under "servers": rename this key.*"tokenEnv".*token set/);
  assert.match(
    rest.join("\n"),
    /^mcpServers\.Mail: must be 1 to 63 [^\n]*\nmcpServers\.notes\.agrs: /,
  );
  assert.deepEqual(problemsOf({ mcpServers: { one: { command: "x" } } }).length, 1);
  const both = problemsOf({ ...MINIMAL, mcpServers: entries });
  assert.equal(both.length, 1);
  assert.match(both[0]!, /^mcpServers: /);
});

test("the JSON Schema describes the file as it is written", () => {
  const schema = configJsonSchema() as {
    additionalProperties: boolean;
    required: string[];
    properties: Record<string, { default?: unknown; type?: string; pattern?: string }>;
  };
  assert.equal(schema.additionalProperties, false);
  assert.equal(schema.required, undefined, "no key has to be there");
  assert.equal(schema.properties["idleTimeout"]!.type, "string");
  assert.equal(schema.properties["idleTimeout"]!.default, "15m");
  for (const key of Object.keys(FULL)) assert.ok(schema.properties[key] !== undefined, key);
});

test("a file may have no server, and a default that is null or comes from elsewhere", () => {
  for (const none of [{}, { servers: {} }, { servers: {}, defaultServer: null }]) {
    const bare = parseConfig(none, BASE);
    assert.deepEqual([bare.servers, bare.defaultServer, bare.warnings], [{}, null, []]);
  }
  const two = { a: { command: "x" }, b: { command: "y" } };
  assert.equal(parseConfig({ servers: two, defaultServer: null }, BASE).defaultServer, null);
  const other = parseConfig({ servers: two, defaultServer: "drawing" }, BASE);
  assert.equal(other.defaultServer, "drawing");
  assert.deepEqual(other.warnings, [
    "defaultServer: is none of the servers here; while there is none of that name, URLs without a server lead nowhere",
  ]);
});
