import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { call, fixture, initialize } from "../helpers/fixtures.ts";
import { until } from "../helpers/until.ts";

type File = Record<string, unknown>;

/** Writes the config anew as people write it: with comments, and a comma behind the last entry. */
function writeByHand(path: string, change: (file: File) => File): void {
  const text = JSON.stringify(change(JSON.parse(readFileSync(path, "utf8")) as File), null, 2);
  writeFileSync(path, `// by hand\n${text.replaceAll(/\n( *[}\]])/g, ", /* the last */\n$1")}\n`);
}

const isJson = (text: string): boolean => {
  try {
    return JSON.parse(text) !== undefined;
  } catch {
    return false;
  }
};

test("entries as people have them serve after a reload, and a disabled one is not there", async (t) => {
  const http = fixture("http", "echo-sse");
  const rig = await startForAlice(t, { one: http, two: http });
  const { daemon } = rig;
  const child = fixture("http", "echo-sse");
  delete child["type"];
  const file = { ...(JSON.parse(readFileSync(daemon.configPath, "utf8")) as File) };
  writeByHand(daemon.configPath, () => ({
    ...file,
    servers: {
      one: http,
      two: { ...http, disabled: true },
      pasted: { transport: "streamable-http", ...child, autoApprove: ["echo"], timeout: 60 },
      camel: { type: "streamableHttp", ...child },
    },
  }));
  assert.equal(isJson(readFileSync(daemon.configPath, "utf8")), false);

  const reloaded = (await daemon.cli(["reload"])).json<{ added: string[]; warnings: string[] }>();
  assert.deepEqual(reloaded.added, ["pasted", "camel"]);
  const said = ["autoApprove", "timeout"].map(
    (key) => `servers.pasted.${key}: is another program's key, and has no effect here`,
  );
  assert.deepEqual(reloaded.warnings, said);
  const checked = await daemon.cli(["config", "check"], { isForPeople: true });
  assert.match(checked.stdout, /servers: one, pasted, camel \(and disabled: two\); default: one\./);
  for (const warning of said) assert.ok(checked.stdout.includes(`  warning: ${warning}\n`));
  const { stdout } = await daemon.cli(["doctor"], { isForPeople: true });
  for (const warning of said) assert.ok(stdout.includes(`warn  config: ${warning}\n`));
  for (const warning of said)
    await until(() => daemon.log().includes(`config: ${warning}`), warning);

  for (const server of ["pasted", "camel"]) {
    const session = await rig.http(server);
    const { body } = await rig.post(
      `/u/alice/${server}/mcp`,
      call(1, "echo", { text: "hi" }),
      session,
    );
    assert.match(body, /hi/);
  }
  const disabled = await rig.post("/u/alice/two/mcp", initialize());
  const unknown = await rig.post("/u/alice/nowhere/mcp", initialize());
  const plain = ({ body }: { body: string }): string => body.replaceAll(/"requestId":"[^"]*"/g, "");
  assert.equal(disabled.status, 404);
  assert.deepEqual(plain(disabled), plain(unknown));
});

test("a file that keeps tools back, is another program's, or is nested out of all reason is refused", async (t) => {
  const rig = await startForAlice(t, { one: fixture("http", "echo-sse") });
  const { daemon } = rig;
  const { configPath } = daemon;
  const session = await rig.http("one");
  const good = readFileSync(configPath, "utf8");
  const { servers, ...rest } = JSON.parse(good) as { servers: Record<string, object> };
  const restricted = { servers: { one: { ...servers["one"], disabledTools: ["echo"] } } };
  const deep = `${'{"servers":'.repeat(10_000)}1${"}".repeat(10_000)}`;
  const bad: [string, RegExp][] = [
    [JSON.stringify({ ...rest, ...restricted }), /servers\.one\.disabledTools: keeps tools back/],
    [JSON.stringify({ ...rest, mcpServers: servers }), /mcpServers: .* under "servers": rename/],
    [deep, /line 1, column \d+: this is nested over 64 levels deep/],
    [`{"servers":${"[".repeat(10_000)}`, /nested over 64 levels deep/],
  ];
  for (const [text, expected] of bad) {
    writeFileSync(configPath, text);
    for (const command of [["config", "check"], ["serve"]]) {
      const refused = await daemon.cli(command);
      assert.equal(refused.code, 78, command.join(" "));
      assert.equal(refused.error().type, "CONFIG_INVALID");
      assert.match(refused.error().details!.join("\n"), expected);
    }
    const asked = await daemon.cli(["reload"]);
    assert.deepEqual([asked.code, asked.error().type], [78, "CONFIG_INVALID"]);
    assert.match(asked.error().details!.join("\n"), expected);
    const before = daemon.log().length;
    process.kill(daemon.pid, "SIGHUP");
    await until(
      () => daemon.log().slice(before).includes("the one before stays in force"),
      "it is told",
    );
    assert.match(daemon.log().slice(before), /"code":"CONFIG_INVALID"/);
    assert.doesNotMatch(daemon.log().slice(before), /RangeError/);
  }
  const answer = await rig.post("/u/alice/one/mcp", call(1, "echo", { text: "hi" }), session);
  assert.match(answer.body, /hi/);
});
