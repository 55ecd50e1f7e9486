import assert from "node:assert/strict";
import { test } from "node:test";
import { FIXTURE, startFixture } from "../conformance/fixture.ts";
import { FIXTURE_CONFIG, openDoor } from "../conformance/gateway.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { EVERYTHING, startEverything } from "../helpers/everything.ts";
import { besides, losses, troublesOf } from "./report.ts";
import { type Result, runChecks } from "./suite.ts";

/** How servers in the field write their events, and what the gateway must not stumble over. */
const SPELLINGS: Record<string, { says: string; flags: string[] }> = {
  plain: { says: "as the SDK writes", flags: ["--sse"] },
  cr: {
    says: "with CR, in pieces of three bytes",
    flags: ["--sse", "--newline", "cr", "--piece", "3"],
  },
  mixed: {
    says: "with LF and CRLF mixed, in pieces of five bytes and with a full URL as endpoint",
    flags: ["--sse", "--newline", "mixed", "--piece", "5", "--endpoint", "full"],
  },
};

const fixtureChild = (flags: string[]) => ({
  type: "sse",
  command: process.execPath,
  args: ["--no-warnings", FIXTURE, ...flags, "--port", "${port}"],
});

const SERVERS = {
  plain: fixtureChild(SPELLINGS["plain"]!.flags),
  cr: fixtureChild(SPELLINGS["cr"]!.flags),
  mixed: fixtureChild(SPELLINGS["mixed"]!.flags),
  everything: {
    type: "sse",
    command: process.execPath,
    args: [EVERYTHING, "sse"],
    env: { PORT: "${port}" },
  },
};

const failing = (results: Result[]) =>
  results.filter(({ verdict }) => verdict === "fail").map(({ id }) => id);

test("the relay is as good a server as the one behind it, or better", async (t) => {
  const daemon = await startDaemon(t, { config: { defaultServer: "plain", servers: SERVERS } });
  const { secret } = (await daemon.addUser("conf")).key;
  const headers = { authorization: `Bearer ${secret}` };
  const urlOf = (server: string) => new URL(`/u/conf/${server}/sse`, daemon.origin);

  for (const [server, { says, flags }] of Object.entries(SPELLINGS)) {
    await t.test(
      `a server that writes ${says} passes every check, directly and through the relay`,
      async (part) => {
        const fixture = await startFixture(...flags);
        part.after(fixture.close);
        const [direct, through] = await Promise.all([
          runChecks(new URL(fixture.url)),
          runChecks(urlOf(server), { headers }),
        ]);
        assert.deepEqual(troublesOf(direct), []);
        assert.deepEqual(troublesOf(through), []);
        assert.deepEqual(losses(direct, through), []);
      },
    );
  }

  await t.test("a client that carries its key in the query passes every check", async () => {
    const results = await runChecks(new URL(`${urlOf("plain").href}?token=${secret}`));
    assert.deepEqual(troublesOf(results), []);
  });

  await t.test(
    "the relay answers for a server that leaves strangers without an answer",
    async (part) => {
      const everything = await startEverything("sse");
      part.after(everything.close);
      // Its own answers come within milliseconds; those that never come need not be waited for long.
      const options = { timeoutMs: 3_000, only: ["posts", "sessions"] };
      const [direct, through] = await Promise.all([
        runChecks(everything.url, options),
        runChecks(urlOf("everything"), { ...options, headers }),
      ]);
      const unanswered = ["stream-url-head", "session-unknown", "session-unnamed"];
      assert.deepEqual(failing(direct), [...unanswered, "session-ends-with-stream"]);
      assert.deepEqual(failing(through), []);
      assert.deepEqual(losses(direct, through), []);
    },
  );
});

test("a bridge is as good an SSE server as the relay, but for what is said beside it", async (t) => {
  const door = await openDoor(await startDaemon(t, { config: FIXTURE_CONFIG }));
  t.after(door.close);
  const { ways, headers } = door.sse;
  for (const { between, url, inherent } of ways.filter((way) => way.between !== "relay")) {
    await t.test(between, async () => {
      const results = await runChecks(url, { headers, timeoutMs: 15_000 });
      assert.deepEqual(troublesOf(besides(inherent, results)), []);
    });
  }
});
