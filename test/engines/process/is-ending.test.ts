import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { NOBODY } from "../../../src/engines/process/confinement.ts";
import type { Confinement } from "../../../src/engines/process/confinement.ts";
import { startProcess } from "../../../src/engines/process/start-process.ts";
import { noSandbox } from "../../helpers/isolation.ts";
import { until } from "../../helpers/until.ts";

/** Listens, says where, and ends at the first thing that it is told: its connections end with it. */
const SERVER = `
  const server = require("node:net").createServer((socket) => {
    socket.once("data", (text) => String(text) === "end" ? process.exit(3) : socket.destroy());
  });
  server.listen(Number(process.argv[1]), "127.0.0.1", () => console.log(server.address().port));
`;
/** What stays for a while when its server is gone, as a launcher does. */
const WRAPPER = '"$0" -e "$1" "$2"; exec sleep 60';

interface Start {
  argv: [string, ...string[]];
  stdout?: "lines" | "messages";
  confinement?: Confinement;
}

async function start(t: TestContext, { argv, stdout = "lines", confinement }: Start) {
  const lines: string[] = [];
  const running = await startProcess(
    {
      argv,
      cwd: "/",
      env: { PATH: process.env["PATH"] ?? "" },
      stdout,
      confinement: confinement ?? { level: "none" },
      eofGraceMs: 0,
      stopTimeoutMs: 1000,
    },
    (_, line) => lines.push(line),
  );
  t.after(() => running.kill());
  return { running, lines };
}

/** Resolves when the server has closed the connection, whichever way. */
async function say(where: { port: number } | { path: string }, text: string): Promise<void> {
  const socket = connect(where);
  socket.on("error", () => {});
  socket.write(text);
  socket.resume();
  await once(socket, "close");
}

test("a child that closed a connection is not ending, one that ended with it is", async (t) => {
  const { running, lines } = await start(t, { argv: [process.execPath, "-e", SERVER, "0"] });
  const port = Number(await until(() => lines[0], "it listens"));
  await say({ port }, "hello");
  assert.equal(await running.isEnding(port), false);
  await say({ port }, "end");
  assert.equal(await running.isEnding(port), true);
  await running.exited;
  assert.equal(await running.isEnding(port), true);
});

test("a wrapper that outlives its server is ending from the server's end on", async (t) => {
  const argv: Start["argv"] = ["sh", "-c", WRAPPER, process.execPath, SERVER, "0"];
  const { running, lines } = await start(t, { argv });
  const port = Number(await until(() => lines[0], "it listens"));
  assert.equal(await running.isEnding(port), false);
  await say({ port }, "end");
  assert.equal(await running.isEnding(port), true);
});

test(
  "in a network of its own a child is known by what it listens on",
  { skip: noSandbox },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "ending-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    chmodSync(folder, 0o755);
    const [home, socketDir] = [join(folder, "home"), join(folder, "run")];
    for (const dir of [home, socketDir]) mkdirSync(dir);
    const uid = process.getuid!() === 0 ? NOBODY : null;
    if (uid !== null) chownSync(home, uid, uid);
    const port = 8000;
    const confinement: Confinement = {
      level: "sandbox",
      uid,
      home,
      network: "none",
      reach: [],
      shared: [],
      paths: { read: [process.execPath], write: [] },
      hidden: [],
      port,
      socketDir,
    };
    const argv: Start["argv"] = ["sh", "-c", WRAPPER, process.execPath, SERVER, `${port}`];
    const { running, lines } = await start(t, { argv, confinement });
    await until(() => lines[0], "it listens");
    assert.equal(await running.isEnding(port), false);
    await say({ path: running.socketPath! }, "end");
    assert.equal(await running.isEnding(port), true);
  },
);

test("a child that is spoken to over its pipes is ending once it has closed one", async (t) => {
  const script = "require('node:fs').closeSync(1); setInterval(() => {}, 60000)";
  const argv: Start["argv"] = [process.execPath, "-e", script];
  const { running } = await start(t, { argv, stdout: "messages" });
  assert.equal(await running.isEnding(null), false);
  running.stdout.resume();
  await once(running.stdout, "end");
  assert.equal(await running.isEnding(null), true);
});
