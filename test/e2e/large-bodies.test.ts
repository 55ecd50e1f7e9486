import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import { bearer, initialize, json, rpc } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const SAYS = fileURLToPath(new URL("../fixtures/servers/says.ts", import.meta.url));
const MIB = 1024 * 1024;

async function rig(t: TestContext) {
  const dir = daemonFolder(t);
  const record = join(dir, "said.txt");
  const node = (...args: string[]) => ({
    command: process.execPath,
    args: ["--no-warnings", SAYS, ...args],
  });
  const port = ["--port", "${port}"];
  const servers = {
    "by-stdio": node("--record", record),
    "by-sse": { type: "sse", ...node(...port) },
    "by-http": { type: "http", ...node(...port) },
  };
  const daemon = await startDaemon(t, {
    dir,
    config: { servers, defaultServer: "by-stdio", resumeWindow: "1s" },
  });
  const { secret } = (await daemon.addUser("alice")).key;
  const headers = [...bearer(secret), ...json];
  /** Where a session of this front that has said hello is posted to, and with what. */
  const open = async (front: "sse" | "mcp", server: keyof typeof servers) => {
    const path = `/u/alice/${server}/${front}`;
    if (front === "mcp") {
      const begun = await ask(daemon.port, { method: "POST", path, headers, body: initialize() });
      const id = String(begun.headers["mcp-session-id"]);
      return { path, headers: [...headers, "mcp-session-id", id], stream: undefined };
    }
    const stream = await EventStream.open(daemon.port, { path, headers: bearer(secret) });
    t.after(() => stream.close());
    const endpoint = await until(() => stream.endpoint, "the endpoint has come");
    await ask(daemon.port, { method: "POST", path: endpoint, headers, body: initialize() });
    await until(() => stream.messages().length > 0, "hello is answered");
    return { path: endpoint, headers, stream };
  };
  const dial = (): { socket: Socket; text: () => string } => {
    const socket = connect(daemon.port, "127.0.0.1").setEncoding("utf8");
    t.after(() => socket.destroy());
    let text = "";
    socket.on("data", (more: string) => (text += more));
    return { socket, text: () => text };
  };
  const read = () => (existsSync(record) ? readFileSync(record, "utf8").split("\n") : []);
  return { daemon, open, dial, read };
}

/** Whether every child that was asked to begin was told that it has begun. */
const greeted = (lines: readonly string[]): boolean => {
  const count = (method: string) => lines.filter((line) => line.includes(`"${method}"`)).length;
  return count("notifications/initialized") === count("initialize");
};

const headOf = (path: string, headers: readonly string[], length: number): string => {
  const lines = headers.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${headers[i + 1]}`] : []));
  return `POST ${path} HTTP/1.1\r\nhost: localhost\r\n${lines.join("\r\n")}\r\ncontent-length: ${length}\r\n\r\n`;
};

test("a batch of more than a thousand messages is refused whole, one of a thousand is taken", async (t) => {
  const { daemon, open, read } = await rig(t);
  const note = JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params: {} });
  for (const front of ["sse", "mcp"] as const) {
    for (const server of ["by-stdio", "by-sse", "by-http"] as const) {
      const { path, headers } = await open(front, server);
      // What the gateway tells it by itself has come before anything is counted.
      if (server === "by-stdio") await until(() => greeted(read()), "the child is in service");
      const post = (count: number) =>
        ask(daemon.port, {
          method: "POST",
          path,
          headers,
          body: `[${Array(count).fill(note).join(",")}]`,
        });
      const before = read().length;
      const refused = await post(1001);
      assert.equal(refused.status, 400, `${front} over ${server}`);
      if (front === "mcp") assert.match(refused.body, /"code":-32600/);
      assert.match(refused.body, /over 1000 messages/);
      assert.equal((await post(1000)).status, 202, `${front} over ${server}`);
      assert.equal(read().length, before, "nothing was handed on: no call was cancelled");
    }
  }
});

test("while a large body is read others are answered", async (t) => {
  const { daemon, open, dial } = await rig(t);
  const { path, headers } = await open("mcp", "by-stdio");
  // Refused at its very end, so that no child has a part in when that is.
  const body = `{"params":[${"[],".repeat(MIB)}]}`;
  const [large, small] = [dial(), dial()];
  // A keep-alive connection that is known to be there.
  small.socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await until(() => small.text().includes('"status"'), "the daemon is there");
  const order: string[] = [];
  large.socket.once("data", () => order.push("large"));
  small.socket.once("data", () => order.push("small"));
  large.socket.write(headOf(path, headers, body.length) + body.slice(0, -1));
  await until(() => large.socket.writableLength === 0, "all but its end is on its way");
  // By then the daemon has read it, and nothing is left of it but the end.
  for (let i = 0; i < 3; i++) await ask(daemon.port, { path: "/health" });
  large.socket.write(body.slice(-1));
  small.socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await until(() => order.length === 2, "both are answered");
  assert.deepEqual(order, ["small", "large"]);
  assert.match(large.text(), /-32700/);
});

test("what a client says behind a large message stays behind it", async (t) => {
  const { open, dial, read } = await rig(t);
  for (const front of ["sse", "mcp"] as const) {
    const { path, headers } = await open(front, "by-stdio");
    const { socket } = dial();
    const first = rpc(1, "tools/call", {
      name: "none",
      arguments: { text: "x".repeat(MIB), front },
    });
    const second = rpc(2, "tools/call", { name: "none", arguments: { text: "behind", front } });
    const posts = [first, second].map((body) => headOf(path, headers, body.length) + body);
    socket.write(posts.join(""));
    const lines = await until(() => {
      const calls = read().filter((line) => line.includes(`"front":"${front}"`));
      return calls.length === 2 ? calls : undefined;
    }, "the child has read both");
    assert.match(lines[1]!, /"behind"/, front);
  }
});

test("however many calls are under way, none is forgotten at their end", async (t) => {
  const { daemon, open, read } = await rig(t);
  const CALLS = 2500;
  const begin = async ({ path, headers }: Awaited<ReturnType<typeof open>>) => {
    for (let from = 0; from < CALLS; from += 500) {
      const calls = Array.from({ length: 500 }, (_, i) =>
        rpc(1000 + from + i, "tools/call", { name: "say", arguments: { lines: [] } }),
      );
      await ask(daemon.port, { method: "POST", path, headers, body: `[${calls.join(",")}]` });
    }
    const taken = () => read().filter((line) => line.includes('"lines":[]')).length;
    const before = taken();
    await until(() => taken() >= before && taken() % CALLS === 0, "the child has them all");
  };
  const cancelled = () => read().filter((line) => line.includes("notifications/cancelled")).length;
  const left = await open("sse", "by-stdio");
  await begin(left);
  left.stream!.close();
  await until(() => cancelled() === CALLS, "the child hears that each is cancelled");

  const stays = await open("sse", "by-stdio");
  await begin(stays);
  const [child] = await instancesOf(daemon);
  process.kill(child!.pid!, "SIGKILL");
  const failed = () => stays.stream!.text.split('"error"').length - 1;
  await until(() => failed() === CALLS, "each gets an error");
  const ids = stays.stream!.messages().flatMap(({ id, error }) => (error === undefined ? [] : id));
  assert.equal(new Set(ids).size, CALLS);
});
