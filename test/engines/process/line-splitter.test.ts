import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { MAX_LINE_BYTES, splitLines } from "../../../src/engines/process/line-splitter.ts";
import { useOwnClock } from "../../helpers/own-clock.ts";

async function linesOf(chunks: Iterable<Buffer>): Promise<string[]> {
  const lines: string[] = [];
  const stream = Readable.from(chunks, { objectMode: false });
  splitLines(stream, (line) => lines.push(line));
  await once(stream, "close");
  return lines;
}

test("lines are the same wherever the chunks are cut", async () => {
  const text = Buffer.from("one\r\ntwo ünïcödé 🦊\n\nlast without end");
  const expected = ["one", "two ünïcödé 🦊", "", "last without end"];
  for (let at = 1; at < text.length; at++)
    assert.deepEqual(await linesOf([text.subarray(0, at), text.subarray(at)]), expected);
  assert.deepEqual(await linesOf(Array.from(text, (byte) => Buffer.from([byte]))), expected);
});

test("a line over the bound is cut and marked, and the next one is whole", async () => {
  const long = "x".repeat(MAX_LINE_BYTES * 3);
  const [cut, next] = await linesOf([Buffer.from(`${long}\nnext\n`)]);
  assert.equal(cut, `${"x".repeat(MAX_LINE_BYTES)} … (cut)`);
  assert.equal(next, "next");
});

test("a terminal that shows a line is given nothing to obey", async () => {
  const text = "\u001b[31mred\u001b[0m\u001b]0;title\u0007\u0000\u0008\u009b2J\tend\n";
  assert.deepEqual(await linesOf([Buffer.from(text)]), ["red\tend"]);
});

test("lines beyond the bound of a second are counted instead of kept, and reading goes on", async (t) => {
  useOwnClock(t, () => 1000);
  const lines = await linesOf([Buffer.from("noise\n".repeat(5000))]);
  assert.equal(lines.length, 2001);
  assert.equal(lines.at(-1), "… 3000 lines dropped");
});

test("a line that never ends holds no more than its bound, and the writer is never blocked for good", async () => {
  const stream = new PassThrough();
  const lines: string[] = [];
  splitLines(stream, (line) => lines.push(line));
  const chunk = Buffer.alloc(65_536, "y");
  for (let i = 0; i < 100; i++) if (!stream.write(chunk)) await once(stream, "drain");
  stream.end();
  await once(stream, "close");
  assert.equal(lines.length, 1);
  assert.ok(lines[0]!.length < MAX_LINE_BYTES + 20);
});
