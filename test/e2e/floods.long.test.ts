import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { Conversation } from "../helpers/conversation.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const NOISY = fileURLToPath(new URL("../fixtures/servers/noisy.ts", import.meta.url));
const SKIPS_AHEAD = new URL("../helpers/skips-ahead.ts", import.meta.url).href;
const noisy = { command: process.execPath, args: ["--no-warnings", NOISY] };

/** Every kind of line that is of no use to anybody. */
const FLOODS: Record<string, { text: string; stream?: string }> = {
  "no-json": { text: "not json\n" },
  "no-message": { text: "1\n" },
  empty: { text: "{}\n" },
  pings: { text: '{"jsonrpc":"2.0","id":"q","method":"ping"}\n' },
  stderr: { text: "x\n", stream: "stderr" },
  // What a line costs is in its parts, not in its length.
  batches: { text: `[${Array(15_000).fill('{"jsonrpc":"2.0","method":"x"}').join()}]\n` },
  values: { text: `[${Array(250_000).fill("1").join()}]\n` },
  deep: { text: `${"[".repeat(500_000)}\n` },
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

test("a child that has flooded its stdout or stderr for longer than ten seconds is named in the log, by status and by doctor, and one that began just now is not", async (t) => {
  const streams = ["stdout", "stderr"];
  const daemon = await startDaemon(t, {
    config: {
      servers: Object.fromEntries(streams.map((stream) => [stream, noisy])),
      defaultServer: "stdout",
    },
    env: { NODE_OPTIONS: `--import ${SKIPS_AHEAD}` },
  });
  const named = /has written more than is read for (\d+) s, so it is read slowly/;
  const rowOf = async (user: string) =>
    (await instancesOf(daemon)).find((row) => row.user === user)!;
  for (const stream of streams) {
    const { secret } = (await daemon.addUser(stream)).key;
    const place = { origin: daemon.origin, user: stream, secret, server: stream };
    const session = await Conversation.open({ ...place, front: "sse" });
    t.after(() => session.close());
    // Long ones, for it is lines that are counted.
    await session.call("f", "flood", { stream, text: `${"x".repeat(1023)}\n` });
    await session.call("w", "flooded", { bytes: 12 * 1024 * 1024 });
    assert.doesNotMatch(String((await rowOf(stream)).reason), named);
    process.kill(daemon.pid, "SIGUSR2");
    const row = await until(
      async () => [await rowOf(stream)].find(({ reason }) => named.test(reason ?? "")),
      "status names it",
    );
    assert.ok(Number(named.exec(row.reason!)![1]) >= 100);
    const lines = () => daemon.log().split("\n");
    await until(
      () => lines().some((line) => named.test(line) && line.includes(`"user":"${stream}"`)),
      "the log names it",
    );
    const { stdout } = await daemon.cli(["doctor", stream], { isForPeople: true });
    assert.match(stdout, new RegExp(`^${stream}/${stream}: the child ${named.source}`, "m"));
    assert.match(stdout, new RegExp(`logs ${stream} --server ${stream}`));
  }
});

test("servers that flood their streams over SSE and HTTP, relayed and bridged: neighbours over every transport are served beside all of them, each is named by status, the log and doctor, and an admin stops them", async (t) => {
  const listening = { ...noisy, args: [...noisy.args, "--port", "${port}"] };
  const servers = {
    "over-stdio": noisy,
    "over-sse": { ...listening, type: "sse" },
    "over-http": { ...listening, type: "http" },
  };
  const daemon = await startDaemon(t, {
    config: { servers, defaultServer: "over-stdio" },
    env: { NODE_OPTIONS: `--import ${SKIPS_AHEAD}` },
  });
  const open = async (user: string, secret: string, server: string, front: "sse" | "mcp") => {
    const opened = await Conversation.open({ origin: daemon.origin, user, secret, server, front });
    t.after(() => opened.close());
    return opened;
  };
  const { secret } = (await daemon.addUser("bob")).key;
  const neighbours = await Promise.all(
    Object.keys(servers).map((server) => open("bob", secret, server, "mcp")),
  );
  const floods = ["over-sse", "over-http"].flatMap((server) =>
    (["sse", "mcp"] as const).map((front) => ({
      user: `${server.slice(5)}-by-${front}`,
      server,
      front,
    })),
  );
  // Those are messages where somebody has to read them as such.
  const texts = { relayed: "data:\n\n", bridged: 'data: {"jsonrpc":"2.0","method":"x"}\n\n' };
  for (const { user, server, front } of floods) {
    const session = await open(user, (await daemon.addUser(user)).key.secret, server, front);
    const text = texts[user === "sse-by-sse" || user === "http-by-mcp" ? "relayed" : "bridged"];
    assert.equal(await session.call("f", "flood", { stream: "events", text }), "begun");
  }
  const named = /has written more than is read for \d+ s, so it is read slowly/;
  let isNamed = false;
  for (let round = 0; !isNamed; round++) {
    assert.ok(round < 50, "each is named");
    // They take so long only beside what is read at full speed still.
    for (let i = 0; i < 40; i++)
      for (const bob of neighbours)
        assert.equal(await bob.call(`${round}-${i}`, "echo", { text: `${i}` }), `${i}`);
    const rows = (await instancesOf(daemon)).filter(({ user }) => user !== "bob");
    isNamed = rows.length === floods.length && rows.every(({ reason }) => named.test(reason ?? ""));
    // What floods by now will have done so for long.
    process.kill(daemon.pid, "SIGUSR2");
  }
  const lines = () => daemon.log().split("\n");
  for (const { user, server, front } of floods) {
    await until(
      () => lines().some((line) => named.test(line) && line.includes(`"user":"${user}"`)),
      `the log names the child of ${user}`,
    );
    if (front === "sse") continue;
    const { stdout } = await daemon.cli(["doctor", user], { isForPeople: true });
    assert.match(stdout, new RegExp(`^${user}/${server}: the child ${named.source}`, "m"));
    assert.equal((await daemon.cli(["stop", user])).code, 0);
  }
});
