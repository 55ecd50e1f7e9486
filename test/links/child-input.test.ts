import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { Writable } from "node:stream";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { startProcess } from "../../src/engines/process/start-process.ts";
import { ChildInput } from "../../src/links/child-input.ts";
import { until } from "../helpers/until.ts";

const LINE = Buffer.from('{"a":1}');
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A child of this shell script, spoken to over its pipes. */
async function start(t: TestContext, script: string) {
  const child = await startProcess(
    {
      argv: ["/bin/sh", "-c", script],
      cwd: tmpdir(),
      env: { PATH: process.env["PATH"] ?? "" },
      confinement: { level: "none" },
      stdout: "messages",
      eofGraceMs: 50,
      stopTimeoutMs: 3000,
    },
    () => {},
  );
  t.after(() => child.kill());
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  const input = new ChildInput({ stdin: child.stdin, onBroken: assert.fail });
  const ended = async (): Promise<number[]> => {
    process.kill(child.pid, "SIGKILL");
    await child.exited;
    input.end();
    return [...input.unread];
  };
  return { input, ended, said: () => said, exited: child.exited };
}

/** A pipe that takes nothing before the test says what becomes of it. */
function heldPipe() {
  const writes: { text: string; over: (error?: Error) => void }[] = [];
  const stdin = new Writable({
    highWaterMark: 64,
    write: (chunk: Buffer, _encoding, over) => void writes.push({ text: chunk.toString(), over }),
  });
  stdin.on("error", () => {});
  const input = new ChildInput({ stdin, onBroken: assert.fail });
  return { stdin, input, writes };
}

test("what a child has read before it was killed may have happened", async (t) => {
  const { input, ended, said } = await start(t, "read -r line; echo got; exec sleep 60");
  await input.write(LINE, 1);
  await until(() => said().includes("got"), "it has read the line");
  assert.deepEqual(await ended(), []);
});

test("the line that a child had not read when it was killed was read by nobody, of those before it that is not known", async (t) => {
  const { input, ended, said } = await start(t, "echo up; exec sleep 60");
  await until(() => said().includes("up"), "it runs");
  await input.write(LINE, 1);
  await turn();
  await input.write(LINE, 2);
  await turn();
  assert.deepEqual(await ended(), [2]);
});

test("a child that closes its input and lives on is told nothing, and nothing of that was read", async (t) => {
  const { input, said } = await start(t, "exec 0</dev/null; echo closed; exec sleep 60");
  await until(() => said().includes("closed"), "its input is closed");
  await Promise.all([input.write(LINE, 1), input.write(LINE, 2)]);
  await turn();
  assert.deepEqual([...input.unread], [1, 2]);
  await assert.rejects(input.write(LINE, 3), { code: "UPSTREAM_RESET" });
  assert.deepEqual([...input.unread], [1, 2, 3]);
});

test("what a child writes where it should only read goes nowhere, and does not end it", async (t) => {
  const { input, ended, said } = await start(
    t,
    "echo odd >&0; read -r line; echo got; exec sleep 60",
  );
  await input.write(LINE, 1);
  await until(() => said() === "got\n", "it has read the line");
  assert.deepEqual(await ended(), []);
});

test("lines that had not gone out when the child ended never do", async () => {
  const { input, writes } = heldPipe();
  await input.write(LINE, 1);
  input.end();
  await turn();
  assert.deepEqual([...input.unread], [1]);
  assert.equal(writes.length, 0);
  await assert.rejects(input.write(LINE, 2), { code: "UPSTREAM_RESET" });
});

test("while a write is under way the lines that follow wait here, and go out together after it", async () => {
  const { input, writes } = heldPipe();
  await input.write(LINE, 1);
  await turn();
  for (const id of [2, 3]) await input.write(LINE, id);
  await turn();
  assert.equal(writes.length, 1);
  writes[0]!.over();
  await until(() => writes.length === 2, "the next write");
  assert.equal(writes[1]!.text, `${LINE.toString()}\n${LINE.toString()}\n`);
});

test("of a write that fails half way the last line was not whole, and what waited behind it was read by nobody", async () => {
  const { input, writes } = heldPipe();
  void input.write(LINE, 1);
  void input.write(LINE, 2);
  await turn();
  void input.write(LINE, 3);
  const failure = Object.assign(new Error("broken pipe"), { code: "EPIPE", syscall: "write" });
  writes[0]!.over(failure);
  await turn();
  assert.deepEqual([...input.unread], [2, 3]);
});

test("a writer waits while more waits here than the pipe takes, until there is room or the pipe is gone", async () => {
  const { input, writes, stdin } = heldPipe();
  await input.write(LINE, 1);
  await turn();
  const long = Buffer.from(JSON.stringify("x".repeat(100)));
  let isTaken = false;
  const taken = input.write(long, 2).then(() => (isTaken = true));
  await turn();
  assert.equal(isTaken, false);
  writes[0]!.over();
  await until(() => writes.length === 2, "the long line goes out");
  writes[1]!.over();
  await taken;
  await input.write(LINE, 3);
  await turn();
  const last = input.write(long, 4);
  stdin.destroy();
  await last;
});
