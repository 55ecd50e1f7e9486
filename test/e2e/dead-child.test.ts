import assert from "node:assert/strict";
import { test } from "node:test";
import { Conversation } from "../helpers/conversation.ts";
import type { Rpc } from "../helpers/conversation.ts";
import { startForAlice } from "../helpers/alice.ts";
import { call, fixture } from "../helpers/fixtures.ts";

/** Enough for a kill to be noticed in the midst of them. */
const CALLS = 30;

for (const front of ["sse", "mcp"] as const) {
  test(`/${front}: of calls that come one after the other, a dead stdio child fails one at most`, async (t) => {
    const { command, args } = fixture("http", "witness") as { command: string; args: string[] };
    const rig = await startForAlice(t, { one: { command, args: args.slice(0, 2) } });
    const origin = `http://127.0.0.1:${rig.daemon.port}`;
    const place = {
      origin,
      user: "alice",
      secret: rig.auth[1]!.slice("Bearer ".length),
      server: "one",
      front,
    };
    const session = await Conversation.open(place);
    t.after(() => session.close());
    const dead = await session.call("before", "pid");
    process.kill(Number(dead), "SIGKILL");
    const failures: string[] = [];
    for (let id = 0; id < CALLS; id++) {
      const { status, body } = await session.post(call(id, "pid"));
      const answer = status < 300 ? await session.answerTo(id) : (JSON.parse(body) as Rpc);
      const { result, error } = answer;
      if (error !== undefined) failures.push(error.message);
      else assert.doesNotMatch(JSON.stringify(result), new RegExp(`"${dead}"`));
    }
    assert.ok(failures.length <= 1, failures.join("\n"));
    for (const message of failures)
      assert.match(message, /^alice\/one: the child was killed by SIGKILL before it had answered/);
  });
}
