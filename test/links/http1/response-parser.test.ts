import assert from "node:assert/strict";
import { test } from "node:test";
import { ResponseParser } from "../../../src/links/http1/response-parser.ts";

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
    end: (reuseMs) => {
      seen.ends += 1;
      seen.isReusable = reuseMs > 0;
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
  ["a head without an end", `HTTP/1.1 200 OK\r\nX: ${"a".repeat(70_000)}`],
  ["a head that ends too late", `HTTP/1.1 200 OK\r\nX: ${"a".repeat(70_000)}\r\n\r\n`],
  ["a length in a vertical tab", "HTTP/1.1 200 OK\r\nContent-Length: \v5\r\n\r\nhello"],
  ["a line feed for a line's end", "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 2\r\n\r\nok"],
  [
    "a chunk line without an end",
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;${"x".repeat(2000)}\r\na\r\n`,
  ],
  [
    "a control in a chunk's extension",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=\0\r\na\r\n",
  ],
  [
    "a trailer that is none",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n",
  ],
  [
    "trailers that go on and on",
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${"x: y\r\n".repeat(20_000)}\r\n`,
  ],
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
    end: (reuseMs) => seen.push(String(reuseMs > 0)),
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

/** Every control but the tab, and DEL. */
const CONTROLS = [...Array(32).keys(), 127].filter((code) => code !== 9);

test("a control character is refused wherever it stands in a head, and nothing else is for its byte alone", () => {
  const places: [string, (char: string) => string][] = [
    ["the status line", (char) => `HTTP/1.1 200 O${char}K\r\nContent-Length: 0\r\n\r\n`],
    ["a value", (char) => `HTTP/1.1 200 OK\r\nContent-Length: 0\r\nMcp-X: a${char}b\r\n\r\n`],
    ["a value's begin", (char) => `HTTP/1.1 200 OK\r\nContent-Length: 0\r\nMcp-X:${char}b\r\n\r\n`],
    ["a value's end", (char) => `HTTP/1.1 200 OK\r\nContent-Length: 0\r\nMcp-X: a${char}\r\n\r\n`],
    [
      "a trailer",
      (char) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a${char}b\r\n\r\n`,
    ],
  ];
  for (const [where, answer] of places) {
    for (let code = 0; code < 256; code++) {
      const bytes = Buffer.from(answer(String.fromCharCode(code)), "latin1");
      if (CONTROLS.includes(code))
        assert.throws(() => parse([bytes]), { code: "UPSTREAM_INVALID" }, `${where}: ${code}`);
      else assert.equal(parse([bytes]).ends, 1, `${where}: ${code}`);
    }
  }
});

test("a value keeps its bytes beyond ASCII and loses the blanks around it", () => {
  const text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nMcp-X: \t\xa0caf\xe9\x85\t \r\n\r\n";
  assert.equal(parse([Buffer.from(text, "latin1")]).headers["mcp-x"], "\xa0caf\xe9\x85");
});

for (const [head, reuseMs] of [
  ["HTTP/1.1 200 OK\r\n", Infinity],
  ["HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\n", 4000],
  ["HTTP/1.1 200 OK\r\nKeep-Alive: max=100,Timeout = 2\r\n", 1000],
  ["HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\n", 0],
  ["HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\n", 0],
  ["HTTP/1.1 200 OK\r\nKeep-Alive: notimeout=1\r\n", Infinity],
  ["HTTP/1.1 200 OK\r\nConnection: foo, close\r\n", 0],
  ["HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=60\r\n", 59_000],
  ["HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n", 0],
] as const) {
  test(`after ${JSON.stringify(head)} a connection is good for ${reuseMs} ms more`, () => {
    const seen: number[] = [];
    const parser = new ResponseParser({ head() {}, data() {}, end: (ms) => void seen.push(ms) });
    parser.expect();
    const isChunked = head.includes("chunked");
    parser.push(Buffer.from(`${head}${isChunked ? "\r\n0\r\n" : "Content-Length: 0\r\n"}\r\n`));
    assert.deepEqual(seen, [reuseMs]);
  });
}

test("with bytes behind its end an answer is the last of its connection, and bytes by themselves are refused", () => {
  const answer = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const { body, ends, isReusable } = parse([Buffer.concat([answer, answer])]);
  assert.deepEqual({ body, ends, isReusable }, { body: "ok", ends: 1, isReusable: false });
  assert.throws(() => parse([answer, answer]), { code: "UPSTREAM_INVALID" });
});
