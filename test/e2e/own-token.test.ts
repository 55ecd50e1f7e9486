import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { bearer, call, fixture, json } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const CANARY = "canary-of-a-user";

const put = async (
  { daemon, auth }: Alice,
  body: string,
  { path: at = "/u/alice/token", headers = [...auth, ...json] } = {},
) => await ask(daemon.port, { method: "PUT", path: at, body, headers });
const wanted = (more: object = {}): string => JSON.stringify({ token: CANARY, ...more });
const typeOf = ({ body }: { body: string }): string =>
  (JSON.parse(body) as { error: { type: string } }).error.type;

test("a user's own token is in force for the call after the answer; the audit tells of it, and nothing holds it", async (t) => {
  const rig = await startForAlice(t, { one: fixture("http", "echo-sse") }, { selfService: true });
  const { stream, endpoint } = await rig.sse("one");
  const answer = await put(rig, wanted({ server: "one", expiresAt: Date.now() + 3_600_000 }));
  assert.deepEqual([answer.status, answer.body], [204, ""]);
  await rig.post(endpoint, call("next", "env"));
  await until(() => stream.messages().some(({ id }) => id === "next"), "the call is answered");
  assert.match(stream.text, new RegExp(CANARY));

  const entry = await until(async () => {
    const { stdout } = await rig.daemon.cli(["audit", "alice"]);
    return stdout.includes("token set") ? stdout : undefined;
  }, "the audit has the order");
  assert.match(entry, /"server":"one"/);
  assert.doesNotMatch(entry + rig.daemon.log(), new RegExp(CANARY));
  const { dataDir } = rig.daemon;
  for (const name of readdirSync(dataDir).filter((file) => file.includes(".db")))
    assert.equal(readFileSync(path.join(dataDir, name), "latin1").includes(CANARY), false);
});

test("what is no order of the user's own is refused, each in its way", async (t) => {
  const rig = await startForAlice(
    t,
    { one: fixture("http", "echo-sse"), fed: { ...fixture("http", "echo-sse"), provider: "sso" } },
    {
      selfService: true,
      providers: { sso: { kind: "google", clientId: "x" } },
    },
  );
  const bob = bearer((await rig.daemon.addUser("bob", "token-of-bob")).key.secret);
  const cases: [string, Awaited<ReturnType<typeof put>>, number, string][] = [
    [
      "another user's",
      await put(rig, wanted(), { headers: [...bob, ...json], path: "/u/alice/token" }),
      403,
      "USER_MISMATCH",
    ],
    ["no such server", await put(rig, wanted({ server: "none" })), 404, "SERVER_NOT_FOUND"],
    [
      "a server's path",
      await put(rig, wanted(), { headers: [...rig.auth, ...json], path: "/u/alice/one/token" }),
      404,
      "NOT_FOUND",
    ],
    ["a provider's", await put(rig, wanted({ server: "fed" })), 409, "TOKEN_OF_PROVIDER"],
    ["1 MB", await put(rig, wanted({ token: "x".repeat(1_000_000) })), 413, "BODY_TOO_LARGE"],
    ["too long", await put(rig, wanted({ token: "x".repeat(128 * 1024) })), 400, "REQUEST_INVALID"],
    ["a mistyped key", await put(rig, wanted({ expires: 1 })), 400, "REQUEST_INVALID"],
    ["no JSON", await put(rig, CANARY), 400, "REQUEST_INVALID"],
    [
      "a form",
      await put(rig, wanted(), { headers: rig.auth, path: "/u/alice/token" }),
      415,
      "TYPE_UNSUPPORTED",
    ],
    [
      "no key",
      await put(rig, wanted(), { headers: [...json], path: "/u/alice/token" }),
      401,
      "KEY_MISSING",
    ],
  ];
  for (const [what, answer, status, type] of cases) {
    assert.deepEqual([answer.status, typeOf(answer)], [status, type], what);
    assert.doesNotMatch(answer.body, new RegExp(CANARY), what);
  }
  assert.doesNotMatch(rig.daemon.log(), new RegExp(CANARY));
});

test("without selfService there is nothing at that path, and a reload brings it", async (t) => {
  const rig = await startForAlice(t, { one: fixture("http", "echo-sse") });
  assert.deepEqual(typeOf(await put(rig, wanted())), "NOT_FOUND");
  const { configPath: configFile } = rig.daemon;
  const config = JSON.parse(readFileSync(configFile, "utf8")) as object;
  writeFileSync(configFile, JSON.stringify({ ...config, selfService: true }));
  assert.equal((await rig.daemon.cli(["reload"])).code, 0);
  assert.equal((await put(rig, wanted())).status, 204);
});
