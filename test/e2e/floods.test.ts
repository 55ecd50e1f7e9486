import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { Conversation } from "../helpers/conversation.ts";
import { startDaemon } from "../helpers/daemon.ts";

const NOISY = fileURLToPath(new URL("../fixtures/servers/noisy.ts", import.meta.url));
const noisy = { command: process.execPath, args: ["--no-warnings", NOISY] };

/** Every kind of line that is of no use to anybody. */
const FLOODS: Record<string, { text: string; stream?: string }> = {
  "no-json": { text: "not json\n" },
  "no-message": { text: "1\n" },
  empty: { text: "{}\n" },
  pings: { text: '{"jsonrpc":"2.0","id":"q","method":"ping"}\n' },
  stderr: { text: "x\n", stream: "stderr" },
};

test("children that write lines of every useless kind without end: a neighbour is served beside all of them, and an admin stops them", async (t) => {
  const names = Object.keys(FLOODS);
  const servers = Object.fromEntries([...names, "good"].map((name) => [name, noisy]));
  const daemon = await startDaemon(t, { config: { servers, defaultServer: "good" } });
  const open = async (user: string, secret: string, server: string) => {
    const place = { origin: daemon.origin, user, secret, server, front: "mcp" as const };
    const opened = await Conversation.open(place);
    t.after(() => opened.close());
    return opened;
  };
  const mallory = (await daemon.addUser("mallory")).key.secret;
  const bob = await open("bob", (await daemon.addUser("bob")).key.secret, "good");
  for (const name of names) {
    const session = await open("mallory", mallory, name);
    assert.equal(await session.call("f", "flood", FLOODS[name]), "begun");
  }
  for (let i = 0; i < 200; i++) assert.equal(await bob.call(i, "echo", { text: `${i}` }), `${i}`);
  for (const name of names)
    assert.equal((await daemon.cli(["stop", "mallory", "--server", name])).code, 0);
});
