import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { Conversation } from "../helpers/conversation.ts";
import type { Rpc } from "../helpers/conversation.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { fixture, modernCall } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import type { Large } from "../fixtures/servers/noisy.ts";

const MIB = 1024 * 1024;
const NOISY = fileURLToPath(new URL("../fixtures/servers/noisy.ts", import.meta.url));
const servers = {
  lines: { command: process.execPath, args: ["--no-warnings", NOISY] },
  "by-sse": fixture("sse", "noisy"),
  "by-http": fixture("http", "noisy"),
};
type Server = keyof typeof servers;
type Front = "sse" | "mcp";

const call = (session: Conversation, id: string, args: Large) =>
  session.request(id, "tools/call", { name: "large", arguments: args });

/** The ways on which an answer is held until it is whole. */
const WAYS: [Server, Front, Partial<Large>?][] = [
  ["lines", "sse"],
  ["lines", "mcp", { isIdFirst: true }],
  ["by-sse", "mcp"],
  ["by-http", "sse"],
  ["by-http", "sse", { isJson: true }],
];

test("over every bridge an answer of megabytes arrives whole, and one over the limit is an error for its id that names the limit, wherever the id stands", async (t) => {
  const config = { servers, defaultServer: "lines" };
  const daemon = await startDaemon(t, { config });
  const { secret } = (await daemon.addUser("alice")).key;
  for (const [server, front, more] of WAYS) {
    const where = `${server} to ${front}`;
    const place = { origin: daemon.origin, user: "alice", secret, server, front };
    const session = await Conversation.open(place);
    t.after(() => session.close());
    const { result } = await call(session, "whole", { bytes: 3 * MIB, ...more });
    const [content] = result!["content"] as { text: string }[];
    assert.equal(content!.text.length, 3 * MIB, where);
    assert.equal(content!.text.replaceAll("x", ""), "");
    assert.equal(result!["id"], 4711);

    const { error } = await call(session, "too long", { bytes: 66 * MIB, ...more });
    assert.equal(error?.data?.type, "ANSWER_TOO_LARGE", where);
    assert.match(error.message, /64 MiB/, where);
    // Nothing was said to the id that stands in the result, and the session goes on.
    assert.equal(
      session.received.some(({ id }) => id === 4711),
      false,
    );
    assert.equal(await session.call("after", "echo", { text: "still here" }), "still here");
    session.close();
  }
  const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  const peakMiB = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
  t.diagnostic(`the daemon has had ${peakMiB} MiB`);
  assert.ok(peakMiB < 250, `the daemon has had ${peakMiB} MiB`);
});

test("a child of 2026-07-28 answers with megabytes too, and with an error for the id that names the limit beyond it", async (t) => {
  const { daemon, auth } = await startForAlice(t, { lines: servers.lines });
  for (const isIdFirst of [false, true]) {
    const large = async (id: string, bytes: number): Promise<Rpc> => {
      const asked = { name: "large", arguments: { bytes, isIdFirst } };
      const { body } = await ask(daemon.port, modernCall(auth, id, asked));
      return JSON.parse(body) as Rpc;
    };
    const whole = await large("whole", 3 * MIB);
    assert.equal(whole.id, "whole");
    const [content] = whole.result!["content"] as { text: string }[];
    assert.equal(content!.text.length, 3 * MIB);
    const { id, error } = await large("too long", 66 * MIB);
    assert.deepEqual([id, error?.data?.type], ["too long", "ANSWER_TOO_LARGE"]);
    assert.match(error!.message, /64 MiB/);
  }
  const echo = { name: "echo", arguments: { text: "still here" } };
  assert.match((await ask(daemon.port, modernCall(auth, "after", echo))).body, /still here/);
});
