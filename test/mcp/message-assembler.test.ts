import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageAssembler } from "../../src/mcp/message-assembler.ts";

interface Seen {
  texts: number;
  dropped: (string | undefined)[];
}

function seenOf(text: string): Seen {
  const seen: Seen = { texts: 0, dropped: [] };
  const assembler = new MessageAssembler({
    text: () => (seen.texts += 1),
    long: () => assert.fail("it is a batch"),
    dropped: (messages) => seen.dropped.push(...messages.map(({ id }) => id)),
    noMessage: () => assert.fail("it is a batch"),
  });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 65_536) assembler.push(bytes.subarray(at, at + 65_536));
  assembler.end();
  return seen;
}

const answers = (count: number, pad = ""): string =>
  `[${Array.from({ length: count }, (_, id) => `{"id":${id},"result":"${pad}"}`).join()}]`;

for (const [length, pad] of [
  ["short", ""],
  ["long", "x".repeat(400)],
] as const) {
  test(`a ${length} batch may have a thousand parts; of one with more each answer is told to be dropped`, () => {
    assert.deepEqual(seenOf(answers(1000, pad)), { texts: 1, dropped: [] });
    const over = seenOf(answers(1001, pad));
    assert.equal(over.texts, 0);
    assert.equal(new Set(over.dropped).size, 1001);
    const mixed = seenOf(`[${"1,".repeat(1000)}${answers(1, pad.repeat(1000)).slice(1)}`);
    assert.deepEqual(mixed, { texts: 0, dropped: ["0"] });
  });
}
