import assert from "node:assert/strict";
import { test } from "node:test";
import { ResponseParser } from "../../src/upstream/response-parser.ts";

function parse(chunks: Buffer[], isClosed = false) {
  const seen = {
    status: 0,
    headers: {} as Record<string, string | undefined>,
    body: "",
    ends: 0,
    isReusable: undefined as boolean | undefined,
  };
  const parser = new ResponseParser({
    head: (status, headers) => Object.assign(seen, { status, headers: { ...headers } }),
    data: (chunk) => (seen.body += chunk.toString()),
    end: (isReusable) => {
      seen.ends += 1;
      seen.isReusable = isReusable;
    },
  });
  parser.expect();
  for (const chunk of chunks) parser.push(chunk);
  const isInOrder = isClosed ? parser.close() : undefined;
  return { ...seen, isInOrder };
}

const WHOLE: [string, string, { status: number; body: string; isReusable: boolean }][] = [
  [
    "a length",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    { status: 200, body: "hello", isReusable: true },
  ],
  [
    "no body",
    "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
    { status: 202, body: "", isReusable: true },
  ],
  [
    "a status without a body",
    "HTTP/1.1 204 No Content\r\nx: y\r\n\r\n",
    { status: 204, body: "", isReusable: true },
  ],
  [
    "chunks",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=1\r\n world\r\n0\r\nTrailer: 1\r\n\r\n",
    { status: 200, body: "hello world", isReusable: true },
  ],
  [
    "an interim answer first",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    { status: 200, body: "ok", isReusable: true },
  ],
  [
    "connection: close",
    "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok",
    { status: 200, body: "ok", isReusable: false },
  ],
  [
    "HTTP/1.0",
    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    { status: 200, body: "ok", isReusable: false },
  ],
  [
    "the same length twice",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    { status: 200, body: "ok", isReusable: true },
  ],
];

for (const [name, text, expected] of WHOLE) {
  test(`an answer with ${name} is read, wherever it is split`, () => {
    const whole = Buffer.from(text);
    const splits = [[whole], [...whole].map((byte) => Buffer.from([byte]))];
    for (let cut = 1; cut < whole.length; cut++)
      splits.push([whole.subarray(0, cut), whole.subarray(cut)]);
    for (const chunks of splits) {
      const { status, body, isReusable, ends } = parse(chunks);
      assert.deepEqual({ status, body, isReusable, ends }, { ...expected, ends: 1 });
    }
  });
}

test("an answer without a length ends with its connection", () => {
  const seen = parse([Buffer.from("HTTP/1.1 200 OK\r\n\r\nabc"), Buffer.from("def")], true);
  assert.deepEqual(
    [seen.body, seen.ends, seen.isReusable, seen.isInOrder],
    ["abcdef", 1, false, true],
  );
});

test("a connection that closes within an answer closed out of order", () => {
  for (const text of [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "HTTP/1.1 200",
    "",
  ]) {
    const seen = parse([Buffer.from(text)], true);
    assert.deepEqual([seen.ends, seen.isInOrder], [0, false], text);
  }
});

for (const [name, text] of [
  ["garbage", "\x16\x03\x01\x02\x00 not http\r\n\r\n"],
  [
    "a length and chunks",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
  ],
  ["another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"],
  ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"],
  ["a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n"],
  ["a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
  ["a folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"],
  ["a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n"],
  ["a bad chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n"],
  [
    "a chunk longer than it said",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",
  ],
  ["an upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ["bytes after the end", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"],
  ["a head without an end", `HTTP/1.1 200 OK\r\nX: ${"a".repeat(70_000)}`],
] as const) {
  test(`an answer with ${name} is refused`, () => {
    assert.throws(() => parse([Buffer.from(text, "latin1")]), { code: "UPSTREAM_INVALID" });
  });
}

test("answers in the same words as the one before are read as well as others", () => {
  const seen: string[] = [];
  const parser = new ResponseParser({
    head: (status, headers) => seen.push(`${status} ${headers["x"]}`),
    data: (chunk) => seen.push(chunk.toString()),
    end: (isReusable) => seen.push(String(isReusable)),
  });
  const answer = (x: string, body: string) =>
    Buffer.from(`HTTP/1.1 200 OK\r\nX: ${x}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  for (const [x, body] of [
    ["1", "ab"],
    ["1", "cd"],
    ["2", "ef"],
    ["1", "ghi"],
  ] as const) {
    parser.expect();
    parser.push(answer(x, body));
  }
  assert.deepEqual(
    seen,
    ["200 1", "ab", "200 1", "cd", "200 2", "ef", "200 1", "ghi"].flatMap((one, i) =>
      i % 2 === 1 ? [one, "true"] : [one],
    ),
  );
});

test("an empty head is none", () => {
  assert.throws(() => parse([Buffer.from("\r\n\r\n")]), { code: "UPSTREAM_INVALID" });
});
