import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../src/mcp/envelope.ts";
import { splice } from "../../src/mcp/json-span.ts";
import { LongText } from "../../src/mcp/long-text.ts";
import { MessageAssembler } from "../../src/mcp/message-assembler.ts";
import { MessageScanner } from "../../src/mcp/message-scanner.ts";
import { resultIn } from "../../src/mcp/outcome.ts";

const SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId";

function scanned(text: string, cutAt: number): MessageScanner {
  const bytes = Buffer.from(text);
  const scanner = new MessageScanner();
  scanner.write(bytes.subarray(0, cutAt));
  scanner.write(bytes.subarray(cutAt));
  return scanner;
}

/** Messages, and what of them a gateway has to know. */
const MESSAGES: [string, object][] = [
  [
    '{"result":{"id":1,"method":"no","isError":true},"jsonrpc":"2.0","id":7}',
    { id: 7, result: { isError: true } },
  ],
  [
    '{ "id" : "a\\u0062\\"}" , "result" : { "content" : [ { "isError" : true } ] } }',
    { id: 'ab"}' },
  ],
  ['{"\\u0069d":1e3,"result":{}}', { id: 1000 }],
  [
    '{"id":1,"id":2,"error":{"code":-32601 ,"message":"{\\"id\\":3}"}}',
    { id: 2, error: { code: -32601 } },
  ],
  [
    '{"method":"notifications/progress","params":{"_meta":{"progressToken":1},"progressToken":"ü"}}',
    { method: "notifications/progress", params: { progressToken: "ü" } },
  ],
  [
    `{"params":{"_meta":{"${SUBSCRIPTION}":9},"uri":"a"},"method":"m","params":{"level":"info"}}`,
    { method: "m", params: { level: "info" } },
  ],
  [
    `{"id":null,"result":{"_meta":{"x":[{"${SUBSCRIPTION}":1}],"${SUBSCRIPTION}":5}}}`,
    { id: null, result: { _meta: { [SUBSCRIPTION]: 5 } } },
  ],
];

test("what a gateway has to know of a message is found as JSON.parse finds it, wherever the pieces are cut", () => {
  for (const [text, known] of MESSAGES)
    for (let at = 0; at <= Buffer.byteLength(text); at++) {
      const scanner = scanned(text, at);
      assert.equal(scanner.isWhole, true, text);
      assert.deepEqual(scanner.value, known, `${text} cut at ${at}`);
    }
});

test("an answer's outcome is told by its own keys, of which the last one counts", () => {
  const outcomeOf = (text: string) => scanned(text, 5).message.outcome;
  assert.equal(outcomeOf('{"id":1,"result":{"isError":true}}'), "tool-error");
  assert.equal(outcomeOf('{"id":1,"result":{"isError":true,"isError":false}}'), undefined);
  assert.equal(outcomeOf('{"id":1,"result":{"isError":true},"result":{}}'), undefined);
  assert.equal(outcomeOf('{"id":1,"result":{"error":{"code":1}}}'), undefined);
  assert.equal(outcomeOf('{"id":1,"error":{"code":1}}'), "error");
});

test("what is cut short, or has more beside it, is no message", () => {
  for (const text of ['{"id":1', '{"id":"1}', '{"id":1} {}', "[1]]", '{"id":1}}', '{"a":1},'])
    assert.equal(scanned(text, 3).isWhole, false, text);
});

test("a text in pieces is spliced as one in one piece, across their borders", () => {
  const text = Buffer.from('{"id":4711,"params":{"progressToken":"abc"}}');
  for (let a = 0; a < text.length; a++)
    for (let b = a; b < text.length; b++) {
      const parts = [text.subarray(0, a), text.subarray(a, b), text.subarray(b)];
      const scanner = new MessageScanner();
      for (const part of parts) scanner.write(part);
      const changes = [
        [scanner.find(["id"])!, "1"],
        [scanner.find(["params", "progressToken"])!, "a longer text"],
      ] as const;
      const spliced = Buffer.concat(new LongText(parts, scanner).splice(changes).parts);
      assert.equal(spliced.toString(), splice(text, changes).toString());
    }
});

interface Heard {
  heard: string[];
  assembler: MessageAssembler;
}

function assembling(): Heard {
  const heard: string[] = [];
  const ids = (messages: readonly Message[]) => messages.map(({ id }) => id).join();
  const assembler = new MessageAssembler({
    text: (bytes) => heard.push(`text ${bytes.length}`),
    long: ({ length, seen }) => heard.push(`long ${length} ${seen?.message.id}`),
    dropped: (messages, { message }) => heard.push(`dropped ${ids(messages)}: ${message}`),
    noMessage: (head) => heard.push(`no message: ${head.subarray(0, 5).toString()}`),
  });
  return { heard, assembler };
}

const MIB = Buffer.alloc(1024 * 1024, "x");
const say = ({ assembler }: Heard, ...pieces: (string | Buffer)[]): void => {
  for (const piece of pieces) assembler.push(Buffer.from(piece));
  assembler.end();
};

test("short texts are given as they are, long ones in pieces, and blank ones not at all", () => {
  const all = assembling();
  say(all, "{", "}");
  say(all, "\r");
  say(all, '{"result":"', MIB, '","id":"a"}');
  say(all, "x", MIB);
  say(all, '{"result":"', MIB);
  say(all, '[{"id":1,"a":"', MIB, '"}]');
  const { length } = MIB;
  assert.deepEqual(all.heard, [
    "text 2",
    `long ${length + 22} "a"`,
    "no message: x",
    'no message: {"res',
    `text ${length + 17}`,
  ]);
});

test("of what is too long it is told whose it was, in batches too, and the longest of all gives way", () => {
  const all = assembling();
  const most = Array.from({ length: 65 }, () => MIB);
  say(all, '{"result":"', ...most, '","id":7}');
  say(all, '[{"id":1,"a":"', ...most.slice(0, 5), '"},{"id":2}]');
  assert.match(all.heard[0]!, /^dropped 7: .*64 MiB/);
  assert.match(all.heard[1]!, /^dropped 1,2: .*4 MiB/);

  const [long, longer, longest] = [assembling(), assembling(), assembling()];
  const begin = ({ assembler }: Heard, mib: number): void => {
    assembler.push(Buffer.from('{"id":3,"result":"'));
    for (let i = 0; i < mib; i++) assembler.push(Buffer.from(MIB));
  };
  begin(longer, 30);
  begin(longest, 40);
  begin(long, 20);
  for (const one of [long, longer, longest]) say(one, '"}');
  assert.deepEqual(longer.heard, [`long ${30 * MIB.length + 20} 3`]);
  assert.deepEqual(long.heard, [`long ${20 * MIB.length + 20} 3`]);
  assert.match(longest.heard[0]!, /^dropped 3: .*72 MiB/);
});

test("what was read of a message that broke a limit is given back at once", () => {
  const { assembler } = assembling();
  assembler.push(Buffer.from('{"id":3,"result":"'));
  const pieces = Array.from({ length: 66 }, () => Buffer.from(MIB));
  for (const piece of pieces) assembler.push(piece);
  assert.ok(pieces.slice(0, 60).every(({ length }) => length === 0));
  assembler.end();
});

test("the result of an answer is found in its bytes, however they are cut, and nothing else passes for it", () => {
  const object = '{"a":[1,{"result":{"no":1}}],"b":"}"}';
  const cases: [string, string | undefined][] = [
    [`{"jsonrpc":"2.0","result": ${object} ,"id":7}`, object],
    [`{"id":7,"\\u0072esult":${object}}`, object],
    [`{"id":7,"result":{"x":1},"result":${object}}`, object],
    [`{"id":7,"result":${object},"result":5}`, undefined],
    [`{"id":7,"params":{"result":${object}}}`, undefined],
    ['{"id":7,"result":[1]}', undefined],
    ['{"id":7,"error":{"code":1}}', undefined],
  ];
  for (const [text, expected] of cases)
    for (let cutAt = 0; cutAt < text.length; cutAt += 1) {
      const scanner = scanned(text, cutAt);
      const parts = [text.slice(0, cutAt), text.slice(cutAt)].map((part) => Buffer.from(part));
      const found = resultIn(new LongText(parts, scanner));
      const said = found && Buffer.concat(found).toString();
      assert.equal(said, expected, `${text} cut at ${cutAt}`);
    }
});

test("the result of an answer is found after other bytes of it were changed, before and behind it", () => {
  const text = '{"id":7,"result":{"x":"ü"},"more":1}';
  const spanOf = (part: string) => {
    const start = Buffer.byteLength(text.slice(0, text.indexOf(part)));
    return { start, end: start + Buffer.byteLength(part) };
  };
  const long = new LongText([Buffer.from(text)], scanned(text, 9));
  const said = (part: string, by: string): string | undefined => {
    const found = resultIn(long.splice([[spanOf(part), by]]));
    return found && Buffer.concat(found).toString();
  };
  assert.equal(said("7", '"ünlike"'), '{"x":"ü"}');
  assert.equal(said('"more":1', ""), '{"x":"ü"}');
  assert.equal(said('{"x"', '{"y"'), undefined);
});
