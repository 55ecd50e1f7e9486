import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join, relative } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { CLIENT, StrictProvider } from "../fixtures/providers/strict.ts";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { bearer, call, fixture, initialize, json } from "../helpers/fixtures.ts";
import { inSeconds, signedJwt } from "../helpers/jwt.ts";
import { ask } from "../helpers/raw-http.ts";
import { serve } from "../helpers/serve.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

/** A secret that is nowhere else on this machine. */
const canary = (): string => `canary"/+${randomBytes(15).toString("base64")}é&%`;

const escapedAsUnits = (text: string): string =>
  text.replaceAll(
    /["\\]|[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** Eight bytes or more of every way in which the secret may stand somewhere. Written apart from the scrubber, which must not be held against itself. */
function waysOf(secret: string | Buffer): string[] {
  const bytes = Buffer.from(secret);
  const text = bytes.toString("utf8");
  const inBase64 = [0, 1, 2].flatMap((before) => {
    const whole = Buffer.concat([Buffer.alloc(before, 65), bytes, Buffer.alloc(3, 65)]);
    const from = before === 0 ? 0 : 4;
    return (["base64", "base64url"] as const).map((way) => whole.toString(way).slice(from, -8));
  });
  const escaped = JSON.stringify(text).slice(1, -1);
  const inLine = escapedAsUnits(text);
  const fromHeader = escapedAsUnits(bytes.toString("latin1"));
  const url = encodeURIComponent(typeof secret === "string" ? secret : bytes.toString("base64"));
  const ways = [
    bytes.toString("latin1"),
    escaped,
    JSON.stringify(escaped).slice(1, -1),
    url,
    inLine,
    fromHeader,
  ];
  return [...new Set([...ways, ...inBase64, bytes.toString("hex")])].map((way) =>
    // What is searched is read as latin1, so that bytes are found as they are.
    Buffer.from(way, way === bytes.toString("latin1") ? "latin1" : "utf8").toString("latin1"),
  );
}

interface Secret {
  name: string;
  ways: string[];
  /** Files that may hold it. */
  mayBeIn: RegExp | undefined;
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}

/** Environments and arguments of every process here, by what they belong to. */
function processTexts(): [string, string][] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) =>
      ["environ", "cmdline"].flatMap((file): [string, string][] => {
        try {
          return [[`/proc/${pid}/${file}`, readFileSync(`/proc/${pid}/${file}`, "latin1")]];
        } catch {
          return [];
        }
      }),
    );
}

function hits(secrets: readonly Secret[], where: string, text: string): string[] {
  return secrets.flatMap(({ name, ways, mayBeIn }) =>
    mayBeIn?.test(where) || !ways.some((way) => text.includes(way)) ? [] : [`${name} in ${where}`],
  );
}

/** A remote that throws what it was sent back at whoever sent it. */
async function echoingRemote(t: TestContext): Promise<string> {
  const { url } = await serve(t, (req: IncomingMessage, res) => {
    res.writeHead(req.method === "POST" ? 500 : 401, { "x-echo": "yes" });
    res.end();
    req.resume();
  });
  return new URL("/mcp", url).href;
}

/** Everything that a client or an admin can be shown; whoever is given a secret by it is left out. */
async function allAnswers(
  daemon: TestDaemon,
  users: readonly string[],
): Promise<[string, string][]> {
  const adminToken = readFileSync(join(daemon.dataDir, "admin.token"), "utf8").trim();
  const headers = ["authorization", `Bearer ${adminToken}`];
  const paths = ["/metrics", "/api/status", "/api/audit", "/api/machine", "/api/users"];
  for (const user of users)
    for (const end of ["", "/doctor", "/logs", "/token", "/keys", "/urls"])
      paths.push(`/api/users/${user}${end}`);
  const answers: [string, string][] = [];
  for (const path of paths) {
    const { status, body } = await ask(daemon.admin!.port, { path, headers });
    assert.equal(status, 200, path);
    answers.push([path, Buffer.from(body).toString("latin1")]);
  }
  for (const args of [["doctor"], ["doctor", users[0]!], ["audit"], ["logs", users[0]!]]) {
    const { stdout, stderr } = await daemon.cli(args, { isForPeople: true });
    answers.push([args.join(" "), Buffer.from(stdout + stderr).toString("latin1")]);
  }
  return answers;
}

/** A client names its app in the URL, has a user's token refreshed, and says afterwards all that it knows where it is logged. */
async function askFeishu(daemon: TestDaemon, provider: StrictProvider, key: string) {
  const refreshToken = provider.grant(`canary-${randomBytes(20).toString("base64url")}`);
  const app = { app_id: CLIENT.id, app_secret: CLIENT.secret };
  const config = Buffer.from(JSON.stringify(app)).toString("base64url");
  const post = async (body: string, more: readonly string[] = []) =>
    await ask(daemon.port, {
      method: "POST",
      path: `/u/alice/feishu/mcp?config=${config}`,
      body,
      headers: [...bearer(key), ...json, ...more],
    });
  const { headers } = await post(initialize());
  const session = ["mcp-session-id", String(headers["mcp-session-id"])];
  const refresh = call(1, "refresh_feishu_user_token", { refresh_token: refreshToken });
  const { body } = await post(refresh, session);
  const answer = JSON.parse(body) as { result: { structuredContent: Record<string, string> } };
  const given = answer.result.structuredContent;
  const secrets = {
    "the app's secret": CLIENT.secret,
    "the settings in the URL": config,
    "the refresh token": refreshToken,
    "the next refresh token": given["refresh_token"]!,
    "the access token": given["access_token"]!,
  };
  for (const secret of Object.values(secrets))
    await post(call(2, `tool ${secret}`), [...session, "user-agent", `client ${secret}`]);
  return secrets;
}

test("no secret is anywhere but where it belongs: files, log, processes, answers", async (t) => {
  const tells = fixture("http", "tells-all");
  // A header carries ASCII alone.
  const headerSecret = (): string => `canary"quoted\\${randomBytes(20).toString("base64url")}`;
  const forAll = headerSecret();
  const feishu = await StrictProvider.open({ kind: "feishu-v2" });
  t.after(() => feishu.close());
  const forJwts = randomBytes(40).toString("base64url");
  const secretFile = join(temporaryFolder(t), "jwt.secret");
  writeFileSync(secretFile, forJwts, { mode: 0o400 });
  const daemon = await startDaemon(t, {
    config: {
      defaultServer: "tells",
      admin: { host: "127.0.0.1", port: 0 },
      metrics: { perUser: true },
      log: { level: "trace" },
      jwt: { issuers: [{ secretFile }] },
      servers: {
        tells,
        feishu: { builtin: "feishu-token", baseUrl: feishu.origin, sessionConfig: true },
        dies: { ...tells, env: { TELL_AND_DIE: "1" } },
        remote: {
          url: await echoingRemote(t),
          headers: { Authorization: "Bearer ${token}", "X-Api-Key": forAll },
        },
      },
    },
  });
  const tokens = { alice: canary(), bob: canary() };
  const forRemote = headerSecret();
  const keys: Record<string, string> = {};
  for (const [user, token] of Object.entries(tokens)) {
    keys[user] = (await daemon.addUser(user, token)).key.secret;
    const setting = await daemon.cli(
      ["token", "set", user, "--server", "remote", "--token-stdin"],
      {
        input: forRemote,
      },
    );
    assert.equal(setting.code, 0);
  }
  const answers: [string, string][] = [];
  const jwt = signedJwt(forJwts, { sub: "alice", iat: inSeconds(0), exp: inSeconds(3600) });
  for (const [user, key] of [...Object.entries(keys), ["alice", jwt] as const]) {
    const post = async (path: string, body: string, headers: string[] = []): Promise<void> => {
      const all = [...bearer(key), ...json, ...headers];
      const answer = await ask(daemon.port, { method: "POST", path, body, headers: all });
      const shown = answer.body + JSON.stringify(answer.headers);
      answers.push([`POST ${path} of ${user}`, Buffer.from(shown).toString("latin1")]);
    };
    await post(`/u/${user}/mcp`, initialize());
    await post(`/u/${user}/remote/mcp`, initialize());
    const agent = ["user-agent", `client ${key} ${forRemote} ${"x".repeat(60)}${key}`];
    await post(`/u/${user}/mcp`, call(1, `tool-${key}`), agent);
    const inBytes = Buffer.from(tokens[user as keyof typeof tokens]).toString("latin1");
    for (const secret of [forRemote, forAll, inBytes, forJwts]) {
      await post(`/u/${user}/mcp`, call(1, `tool ${secret}`), ["user-agent", `client ${secret}`]);
    }
    await post(`/u/${user}/dies/mcp`, initialize());
    await post(`/u/${user}/${key}`, initialize());
    await ask(daemon.port, { path: `/u/${user}/sse/${key}?token=${key}` });
    await ask(daemon.port, { path: `/u/other/sse?token=${key}` });
  }
  const ofFeishu = await askFeishu(daemon, feishu, keys["alice"]!);
  await until(
    async () => (await daemon.cli(["audit", "bob"])).stdout.includes("USER_MISMATCH"),
    "the last refusal is recorded",
  );

  const secretOf = (name: string, secret: string | Buffer, mayBeIn?: RegExp): Secret => ({
    name,
    ways: waysOf(secret),
    mayBeIn,
  });
  const { instances } = (await daemon.cli(["status"])).json<{
    instances: { user: string; pid: number | null }[];
  }>();
  const ownOf = (user: string): RegExp => {
    const pids = instances.filter((row) => row.user === user && row.pid !== null);
    return new RegExp(`^/proc/(${pids.map(({ pid }) => pid).join("|")})/environ$`);
  };
  const vaultKey = readFileSync(join(daemon.dataDir, "vault.key"), "utf8").trim();
  const adminToken = readFileSync(join(daemon.dataDir, "admin.token"), "utf8").trim();
  const secrets = [
    secretOf("the secret for JWTs", forJwts),
    secretOf("a JWT", jwt),
    ...Object.entries(tokens).map(([user, token]) =>
      secretOf(`the token of ${user}`, token, ownOf(user)),
    ),
    secretOf("the token for the remote", forRemote),
    secretOf("the key that all share", forAll, /\.config\.json$|\/config\.json$/),
    ...Object.entries(keys).map(([user, key]) => secretOf(`the key of ${user}`, key)),
    ...Object.entries(ofFeishu).map(([name, secret]) => secretOf(name, secret)),
    secretOf("the vault's key", Buffer.from(vaultKey, "base64"), /\/vault\.key$/),
    secretOf("the admin token", adminToken, /\/admin\.token$/),
  ];
  answers.push(...(await allAnswers(daemon, Object.keys(tokens))));
  const texts: [string, string][] = [
    ...answers,
    ["the log", Buffer.from(daemon.log()).toString("latin1")],
    ...filesIn(daemon.dir).map((file): [string, string] => [
      `/${relative(daemon.dir, file)}`,
      readFileSync(file, "latin1"),
    ]),
    ...processTexts(),
  ];
  assert.deepEqual(
    texts.flatMap(([where, text]) => hits(secrets, where, text)),
    [],
  );
  // The search finds what is there, and the children did tell.
  for (const user of ["alice", "bob"]) {
    const own = texts.filter(([where]) => ownOf(user).test(where));
    const owner = secrets.map((secret) => ({ ...secret, mayBeIn: undefined }));
    assert.ok(own.some(([where, text]) => hits(owner, where, text).length === 1));
  }
  assert.ok(texts.some(([where]) => where.endsWith("mcp-supervisor.db")));
  const told = answers.find(([where]) => where === "/api/users/alice/logs")![1];
  assert.ok(told.split("[secret]").length > 40, told.slice(0, 2000));
});
