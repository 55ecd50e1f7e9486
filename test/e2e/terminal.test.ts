import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { call, initialize } from "../helpers/fixtures.ts";
import { until } from "../helpers/until.ts";

/** What turns the order of text round on a terminal (U+202A to 202E, U+2066 to 2069), DEL, and a C1 control that begins an escape sequence. */
const STEERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u007f\u009b";
const STEERS = /[\u202a-\u202e\u2066-\u2069\u007f-\u009f]/;
const TURNED = "\u202edaer ton si siht\u2066";

const says = (text: string): object => ({
  command: process.execPath,
  args: ["-e", `console.error(${JSON.stringify(text)}); process.exit(3)`],
});

test("what a child says, and what a client asks for, cannot turn round what an admin reads", async (t) => {
  const rig = await startForAlice(t, { mute: says(`cannot start: ${STEERING}${TURNED}`) });
  const { daemon } = rig;
  const { body } = await rig.post("/u/alice/mcp", initialize());
  const { requestId } = (JSON.parse(body) as { error: { data: { requestId: string } } }).error.data;
  await rig.post("/u/alice/mcp", call(1, `tool ${STEERING}${TURNED}`));

  const commands = [
    ["logs", "alice"],
    ["doctor", "alice"],
    ["doctor", "--request", requestId],
    ["status"],
    ["start", "alice"],
    ["user", "show", "alice"],
    ["audit", "alice"],
    ["doctor"],
  ];
  for (const command of commands)
    for (const isForPeople of [true, false]) {
      const { stdout, stderr } = await daemon.cli(command, { isForPeople });
      assert.doesNotMatch(stdout + stderr, STEERS, `${command.join(" ")}, ${isForPeople}`);
    }
  const { stdout } = await daemon.cli(["logs", "alice"], { isForPeople: true });
  assert.match(stdout, /cannot start: .*\\u202edaer ton si siht\\u2066$/m);
  const asJson = (await daemon.cli(["logs", "alice"])).json<{ logs: { text: string }[] }>();
  assert.ok(
    asJson.logs.some(({ text }) => text.includes(TURNED)),
    "programs read it as it was",
  );

  await until(() => daemon.log().includes("daer ton si siht"), "the log tells of it");
  assert.doesNotMatch(daemon.log(), STEERS);
});
