import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { bearer, call, fixture, initialize, json } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

test("the screen of doctor NAME has all that an admin would look for elsewhere", async (t) => {
  const rig = await startForAlice(t, {
    echo: fixture("sse", "echo-sse"),
    crashing: fixture("http", "crash-on-start"),
    hungry: { ...fixture("sse", "hungry"), limits: { memory: "96M" } },
    killed: fixture("sse", "echo-sse"),
  });
  const { daemon } = rig;
  const stateOf = async (server: string): Promise<string | undefined> =>
    (await instancesOf(daemon)).find((row) => row.server === server)?.state;

  // One that serves, with a session; one over its limit; one that somebody killed; one that does not start.
  await rig.sse("echo");
  const hungry = await rig.sse("hungry");
  await rig.post(hungry.endpoint, call("well", "echo"));
  await until(() => hungry.stream.messages().some(({ id }) => id === "well"), "it is well");
  await rig.post(hungry.endpoint, call("more", "memory", { amount: 600 }));
  await until(async () => (await stateOf("hungry")) === "stopped", "it was over its memory");
  const killed = await rig.sse("killed");
  await rig.post(killed.endpoint, call("well", "echo"));
  await until(() => killed.stream.messages().some(({ id }) => id === "well"), "it is well");
  process.kill((await rig.row("killed")).pid, "SIGKILL");
  await until(async () => (await stateOf("killed")) === "stopped", "it is gone");
  for (let failure = 1; failure <= 4; failure += 1)
    await rig.post("/u/alice/crashing/mcp", initialize());
  await until(async () => (await stateOf("crashing")) === "backing-off", "it fails");

  // A key that was revoked, a path that is not there, a token that ends and one that has ended.
  const issued = await daemon.cli(["key", "issue", "alice", "--label", "laptop"]);
  const { id, secret } = issued.json<{ id: string; secret: string }>();
  await daemon.cli(["key", "revoke", id]);
  const headers = [...bearer(secret), ...json];
  await ask(daemon.port, { method: "POST", path: "/u/alice/mcp", body: initialize(), headers });
  await ask(daemon.port, { path: "/u/alice/echo/nowhere", headers: rig.auth });
  const tokens = [
    ["--expires-at", "2031-05-06T07:08:00Z", "--server", "killed"],
    ["--expires-at", "2020-01-02T03:04:00Z", "--server", "hungry"],
  ];
  for (const flags of tokens)
    await daemon.cli(["token", "set", "alice", "--token-stdin", ...flags], {
      input: "another-one",
    });

  const { code, stdout } = await daemon.cli(["doctor", "alice"], { isForPeople: true });
  assert.equal(code, 1);
  const has = (pattern: RegExp): void => assert.match(stdout, pattern);
  const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\dZ`;

  // What is wrong, what to do, and what happens next.
  has(
    /^alice\/crashing: the child exited with code 3 .*: cannot start: the mailbox is missing; 4 failures, tried again in \d+ s\n {2}→ ./,
  );
  has(/^ {2}warning: alice's token for hungry expired \d+ d ago$/m);

  // State and since when, memory, sessions.
  has(new RegExp(`^echo: ready since ${time}$`, "m"));
  has(/^ {2}pid \d+, [1-9]\d*M of memory, 1 session, 0 calls under way, 0 restarts$/m);
  has(/^ {2}no process, 0 sessions, 0 calls under way, \d+ restarts?$/m);
  assert.doesNotMatch(stdout, /\b1 (?:sessions|calls|restarts|failures|warnings)\b|- memory|pid -/);
  has(
    new RegExp(
      `^crashing: backing-off since ${time} \\(exited with code 3 before it was ready\\), tried again in \\d+s$`,
      "m",
    ),
  );
  has(new RegExp(`^hungry: stopped since ${time} \\(.*\\)$`, "m"));

  // The last exits, with code, signal or limit, and the last words.
  has(/^ {2}\d+s ago, start 4: exited with code 3 before it was ready$/m);
  has(/^ {2}\d+s ago, start 1: was killed by SIGKILL$/m);
  has(/^ {2}\d+s ago, start 1: was killed: over 96M$/m);
  has(/^ {2}last output:\n(?: {4}.*\n)* {4}cannot start: the mailbox is missing$/m);

  // Tokens with their expiry, keys, what was refused last, what went well last.
  has(/^ {2}for all servers: sha256:\w{12}, expires never$/m);
  has(/^ {2}killed: sha256:\w{12}, expires 2031-05-06 07:08Z$/m);
  has(/^ {2}hungry: sha256:\w{12}, expired 2020-01-02 03:04Z$/m);
  has(/^keys: mcps_\w{4}…/m);
  has(
    /^ {2}\d+s ago from 127\.0\.0\.1: POST \/u\/alice\/mcp → 401 KEY_INVALID: .*\n {4}the access key mcps_\w{4}… \(laptop\) of alice was revoked at /m,
  );
  has(
    /^ {2}\d+s ago from 127\.0\.0\.1: GET \/u\/alice\/echo\/nowhere → 404 NOT_FOUND: .* \([\w-]+\)$/m,
  );
  has(
    /^last request that went well:\n {2}\d+s ago from 127\.0\.0\.1: \w+ \/u\/alice\/\S* → 20\d /m,
  );
  assert.doesNotMatch(stdout, /token-of-alice|another-one|mcps_\w{20}/);
});
