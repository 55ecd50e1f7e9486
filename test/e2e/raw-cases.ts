/** One way in, as raw requests need it. */
export interface Door {
  /** POST unless told otherwise. */
  method?: string;
  /** The path that works. */
  path: string;
  /** Header lines that work, but for Host and those that frame the body; each ends in CRLF. */
  head: string;
  /** The status of a message that was taken. */
  ok: number;
}

export interface RawCase {
  name: string;
  /** What is sent. `body(n)` is a message of this case. */
  bytes: (door: Door, body: (n: number) => string) => string;
  /** The statuses of all answers, in order; "ok" is the door's own. */
  answers: readonly (number | "ok")[];
  /** The messages that reach the server, and no other. */
  arrives?: readonly number[];
  /** The client leaves behind its words. */
  leaves?: boolean;
  /** What must not be in the headers that reach the server. */
  not?: RegExp;
}

const HOST = "Host: localhost\r\n";
const methodOf = (door: Door): string => door.method ?? "POST";
const post = (door: Door, framing: string, rest: string, path = door.path): string =>
  `${methodOf(door)} ${path} HTTP/1.1\r\n${HOST}${door.head}${framing}\r\n${rest}`;
const whole = (door: Door, body: string, more = "", path = door.path): string =>
  post(door, `${more}Content-Length: ${body.length}\r\n`, body, path);
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
const chunked = (door: Door, rest: string, more = ""): string =>
  post(door, `${more}Transfer-Encoding: chunked\r\n`, rest);
const stranger = (door: Door): Door => ({
  ...door,
  head: door.head.replace(/Bearer \w+/, `Bearer mcps_${"z".repeat(36)}`),
});

type Make = RawCase["bytes"];
const taken = (name: string, bytes: Make, more: Partial<RawCase> = {}): RawCase => ({
  name,
  bytes,
  answers: ["ok"],
  arrives: [1],
  ...more,
});
const refused = (name: string, status: number, bytes: Make): RawCase => ({
  name,
  bytes,
  answers: [status],
});
/** The message is well framed and the key is good, but these header lines come with it. */
const withLines = (name: string, status: number, lines: string): RawCase =>
  refused(name, status, (door, body) => whole(door, body(1), lines));
/** The length is told in this way. */
const framed = (name: string, framing: (length: number) => string, status = 400): RawCase =>
  refused(name, status, (door, body) => post(door, framing(body(1).length), body(1)));
/** The path is written in this way. */
const at = (name: string, status: number, path: (door: Door) => string): RawCase =>
  refused(name, status, (door, body) => whole(door, body(1), "", path(door)));
/** The chunks are these. */
const inChunks = (name: string, status: number, chunks: (body: string) => string): RawCase =>
  refused(name, status, (door, body) => chunked(door, chunks(body(1))));

const hex = (text: string): string => text.length.toString(16);

const FRAMING: readonly RawCase[] = [
  taken("a length", (door, body) => whole(door, body(1))),
  taken("chunks", (door, body) => chunked(door, `${chunk(body(1))}0\r\n\r\n`)),
  taken("chunks of one byte", (door, body) =>
    chunked(door, `${body(1).split("").map(chunk).join("")}0\r\n\r\n`),
  ),
  taken("a chunk size with zeros before it, in capitals", (door, body) =>
    chunked(door, `000${hex(body(1)).toUpperCase()}\r\n${body(1)}\r\n000\r\n\r\n`),
  ),
  taken("chunk extensions", (door, body) =>
    chunked(door, `${hex(body(1))};a=b;c="d;e"\r\n${body(1)}\r\n0;f\r\n\r\n`),
  ),
  taken(
    "trailers",
    (door, body) =>
      chunked(door, `${chunk(body(1))}0\r\nX-Trailer: 1\r\nAuthorization: Bearer x\r\n\r\n`),
    { not: /x-trailer/i },
  ),
  taken("Chunked in capitals", (door, body) =>
    post(door, "TRANSFER-ENCODING: CHUNKED\r\n", `${chunk(body(1))}0\r\n\r\n`),
  ),
  framed("a length and chunks", (n) => `Content-Length: ${n}\r\nTransfer-Encoding: chunked\r\n`),
  framed("chunks and a length", (n) => `Transfer-Encoding: chunked\r\nContent-Length: ${n}\r\n`),
  framed("the same length twice", (n) => `Content-Length: ${n}\r\nContent-Length: ${n}\r\n`),
  framed("two lengths", (n) => `Content-Length: ${n}\r\nContent-Length: 1\r\n`),
  framed("a list of lengths", (n) => `Content-Length: ${n}, ${n}\r\n`),
  framed("a length with a sign", (n) => `Content-Length: +${n}\r\n`),
  framed("a negative length", () => "Content-Length: -1\r\n"),
  framed("a length in hex", (n) => `Content-Length: 0x${n.toString(16)}\r\n`),
  framed("a length with a space in it", (n) => `Content-Length: 1 ${n}\r\n`),
  framed("a length that is no number", () => "Content-Length: all\r\n"),
  framed("an empty length", () => "Content-Length: \r\n"),
  framed("a length beyond 2^64", () => "Content-Length: 99999999999999999999\r\n"),
  framed("a length over the limit", () => "Content-Length: 70000\r\n", 413),
  framed("xchunked", () => "Transfer-Encoding: xchunked\r\n"),
  framed("chunked, identity", () => "Transfer-Encoding: chunked, identity\r\n"),
  framed("identity", () => "Transfer-Encoding: identity\r\n"),
  framed("chunked behind a vertical tab", () => "Transfer-Encoding: \x0bchunked\r\n"),
  framed("a space before the colon", () => "Transfer-Encoding : chunked\r\n"),
  framed("a folded Transfer-Encoding", () => "Transfer-Encoding:\r\n chunked\r\n"),
  framed("a folded Content-Length", (n) => `Content-Length:\r\n ${n}\r\n`),
  inChunks("a chunk size that overflows", 400, (body) => `FFFFFFFFFFFFFFFFF\r\n${body}\r\n`),
  inChunks("a chunk size with 0x", 400, (body) => `0x${hex(body)}\r\n${body}\r\n0\r\n\r\n`),
  inChunks("a negative chunk size", 400, (body) => `-1\r\n${body}\r\n0\r\n\r\n`),
  inChunks("a chunk without a size", 400, (body) => `\r\n${body}\r\n0\r\n\r\n`),
  inChunks("a chunk longer than its size", 400, (body) => `1\r\n${body}\r\n0\r\n\r\n`),
  inChunks("a chunk size that ends in LF", 400, (body) => `${hex(body)}\n${body}\r\n0\r\n\r\n`),
  inChunks("a chunk that ends in LF", 400, (body) => `${hex(body)}\r\n${body}\n0\r\n\r\n`),
  inChunks("a space in a chunk size", 400, (body) => `${hex(body)} 0\r\n${body}\r\n0\r\n\r\n`),
  inChunks(
    "chunk extensions beyond all bounds",
    413,
    (body) => `${hex(body)};${"e".repeat(20_000)}`,
  ),
  inChunks("chunks over the limit", 413, () => `${chunk("x".repeat(70_000))}0\r\n\r\n`),
];

const SEVERAL: readonly RawCase[] = [
  taken("two in one write", (door, body) => whole(door, body(1)) + whole(door, body(2)), {
    answers: ["ok", "ok"],
    arrives: [1, 2],
  }),
  taken(
    "one with a key, one without",
    (door, body) => whole(door, body(1)) + whole(stranger(door), body(2)),
    {
      answers: ["ok", 401],
    },
  ),
  taken(
    "one without a key, one with",
    (door, body) => whole(stranger(door), body(2)) + whole(door, body(1)),
    {
      answers: [401, "ok"],
    },
  ),
  refused("a request in the body of one that is refused", 401, (door, body) =>
    whole(stranger(door), whole(door, body(1))),
  ),
  refused("a request in the chunks of one that is refused", 401, (door, body) =>
    chunked(stranger(door), `${chunk(whole(door, body(1)))}0\r\n\r\n`),
  ),
  refused("a request in the body of one that goes nowhere", 404, (door, body) =>
    whole(door, whole(door, body(1)), "", "/u/alice/nowhere/mcp"),
  ),
  refused("a request in the body of another method", 405, (door, body) =>
    whole(door, whole(door, body(1))).replace(methodOf(door), "PUT"),
  ),
  taken(
    "a request behind the last chunk",
    (door, body) => chunked(door, `${chunk(body(1))}0\r\n\r\n${whole(stranger(door), body(2))}`),
    { answers: ["ok", 401] },
  ),
  taken("empty lines before a request", (door, body) => `\r\n\r\n${whole(door, body(1))}`),
  taken("Connection: close", (door, body) => whole(door, body(1), "Connection: close\r\n")),
  {
    name: "a client that leaves within the body",
    leaves: true,
    answers: [400],
    bytes: (door, body) => post(door, "Content-Length: 1000\r\n", body(1)),
  },
  {
    name: "a client that leaves within a chunk",
    leaves: true,
    answers: [400],
    bytes: (door, body) => chunked(door, `fff\r\n${body(1)}`),
  },
  {
    name: "a client that leaves before the last chunk",
    leaves: true,
    answers: [400],
    bytes: (door, body) => chunked(door, chunk(body(1))),
  },
  {
    name: "a client that leaves within the headers",
    leaves: true,
    answers: [400],
    bytes: (door) => whole(door, "").slice(0, -4),
  },
];

/** The Host is this. */
const hosted = (host: string): Make => {
  const line = `Host: ${host}\r\n`;
  return (door, body) => whole(door, body(1)).replace(HOST, line);
};
const ADDRESSES = ["203.0.113.5", "10.10.1.105:8040", "[2001:db8::5]", "[::ffff:10.1.1.1]:80"];
const NO_ADDRESSES = [
  "2001:db8::5",
  "[fe80::1%eth0]",
  "[::1",
  "[127.0.0.1]",
  "3405803781",
  "0xcb.0.113.5",
  "0313.0.113.5",
  "203.0.113.005",
  "203.113.5",
  "203.0.113.5.",
  "203.0.113.5.evil.example",
  "203.0.113.5@evil.example",
];

const HEADERS: readonly RawCase[] = [
  ...ADDRESSES.map((host) => taken(`the Host ${host}`, hosted(host))),
  ...NO_ADDRESSES.map((host) => refused(`the Host ${host}`, 403, hosted(host))),
  taken(
    "a page on another port of this machine",
    (door, body) => whole(door, body(1), "Origin: http://127.0.0.1:9999\r\n"),
    { not: /origin/i },
  ),
  taken(
    "a page at the address that is the Host",
    (door, body) =>
      hosted("203.0.113.5")(door, body).replace(
        "\r\n\r\n",
        "\r\nOrigin: http://203.0.113.5\r\n\r\n",
      ),
    { not: /origin/i },
  ),
  withLines("a page at an address", 403, "Origin: http://203.0.113.5\r\n"),
  withLines(
    "a page at an address that only begins like this one",
    403,
    "Origin: http://127.0.0.1.evil.example\r\n",
  ),
  withLines("two Origins", 403, "Origin: http://localhost\r\nOrigin: http://evil.example\r\n"),
  withLines("a folded header", 400, "X-Fold: a\r\n b\r\n"),
  withLines("a bare LF", 400, "X-Lf: a\nX-More: b\r\n"),
  withLines("a bare CR", 400, "X-Cr: a\rb\r\n"),
  withLines("a NUL", 400, "X-Nul: a\0b\r\n"),
  withLines("a header without a colon", 400, "X-Nothing\r\n"),
  withLines("a header without a name", 400, ": nothing\r\n"),
  withLines("a space in a name", 400, "X Y: 1\r\n"),
  withLines("a control character in a name", 400, "X\x01: 1\r\n"),
  withLines("headers over 16 KiB", 431, `X-Large: ${"x".repeat(17_000)}\r\n`),
  withLines("a second Host", 403, HOST),
  withLines("a second Host behind a thousand headers", 403, `${"a:\r\n".repeat(1_500)}${HOST}`),
  withLines("a second Authorization", 401, "Authorization: Bearer x\r\n"),
  withLines("a foreign Origin", 403, "Origin: https://evil.example\r\n"),
  withLines("another expectation", 417, "Expect: the-inquisition\r\n"),
  refused("no Host", 403, (door, body) => whole(door, body(1)).replace(HOST, "")),
  refused("an empty Host", 403, (door, body) => whole(door, body(1)).replace(HOST, "Host:\r\n")),
  refused("a foreign Host", 403, (door, body) =>
    whole(door, body(1)).replace(HOST, "Host: evil.example\r\n"),
  ),
  refused("a Host with a user in it", 403, (door, body) =>
    whole(door, body(1)).replace(HOST, "Host: localhost@evil.example\r\n"),
  ),
  taken("Expect: 100-continue", (door, body) => whole(door, body(1), "Expect: 100-continue\r\n"), {
    answers: [100, "ok"],
  }),
  refused("Expect: 100-continue with a wrong key: no word to go on", 401, (door, body) =>
    whole(stranger(door), body(1), "Expect: 100-continue\r\n"),
  ),
  taken(
    "an upgrade to a WebSocket is not taken up",
    (door, body) => whole(door, body(1), "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    { not: /upgrade|websocket/i },
  ),
  taken(
    "an upgrade to HTTP/2 is not taken up",
    (door, body) =>
      whole(
        door,
        body(1),
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n",
      ),
    { not: /upgrade|h2c|http2/i },
  ),
  taken(
    "headers that claim an identity",
    (door, body) =>
      whole(
        door,
        body(1),
        "X-User-Id: bob\r\nX-Forwarded-User: bob\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nCookie: a=b\r\nProxy-Authorization: Basic x\r\n",
      ),
    { not: /bob|10\.0\.0\.1|cookie|proxy|forwarded/i },
  ),
  taken(
    "a method of its own in a header",
    (door, body) => whole(door, body(1), "X-HTTP-Method-Override: DELETE\r\n"),
    { not: /override/i },
  ),
  taken(
    "Connection names what is taken out",
    (door, body) => whole(door, body(1), "Connection: baggage, close\r\nBaggage: x=1\r\n"),
    { not: /baggage/i },
  ),
];

const PATHS: readonly RawCase[] = [
  taken("a query with dots, slashes and an @ in it", (door, body) =>
    whole(
      door,
      body(1),
      "",
      `${door.path}${door.path.includes("?") ? "&" : "?"}x=/../..//@evil.example/`,
    ),
  ),
  at("the absolute form of its own address", 404, (door) => `http://localhost${door.path}`),
  at("the absolute form of another", 404, (door) => `http://evil.example${door.path}`),
  at("an authority before the path", 404, (door) => `//evil.example${door.path}`),
  at("a dot segment", 404, (door) => door.path.replace("/alice/", "/./alice/")),
  at("two dots", 404, (door) => door.path.replace("/alice/", "/bob/../alice/")),
  at("encoded dots", 404, (door) => door.path.replace("/alice/", "/bob/%2e%2e/alice/")),
  at("an encoded slash", 404, (door) => door.path.replace("/alice/", "/bob%2f..%2falice/")),
  at("a backslash", 404, (door) => door.path.replace("/alice/", "/bob\\..\\alice/")),
  at("an encoded letter", 404, (door) => door.path.replace("alice", "%61lice")),
  at("a letter encoded twice", 404, (door) => door.path.replace("alice", "%2561lice")),
  at("a doubled slash", 404, (door) => door.path.replace("/u/", "/u//")),
  at("a parameter in a segment", 404, (door) => door.path.replace("/alice/", "/alice;x=1/")),
  at("capitals", 404, (door) => door.path.replace("alice", "ALICE")),
  at("an encoded NUL", 404, (door) => door.path.replace("alice", "alice%00")),
  at("an encoded line break with a header behind it", 404, (door) =>
    door.path.replace("alice", "alice%0d%0aX-User:%20bob"),
  ),
  at("a NUL", 400, (door) => door.path.replace("alice", "alice\0")),
  at("a space", 400, (door) => door.path.replace("alice", "al ice")),
  at("a tab", 400, (door) => door.path.replace("alice", "al\tice")),
  at("a bare CR", 400, (door) => door.path.replace("alice", "al\rice")),
  at("no slash", 400, (door) => door.path.slice(1)),
  at("a path over 16 KiB", 431, (door) => `${door.path}${"x".repeat(17_000)}`),
];

const LINES: readonly RawCase[] = [
  taken("HTTP/1.0", (door, body) => whole(door, body(1)).replace("HTTP/1.1", "HTTP/1.0")),
  ...(["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/11", "ICY/1.1", "http/1.1"] as const).map(
    (version) =>
      refused(version, 400, (door, body) => whole(door, body(1)).replace("HTTP/1.1", version)),
  ),
  refused("no version", 400, (door, body) => whole(door, body(1)).replace(" HTTP/1.1", "")),
  refused("the preface of HTTP/2", 400, () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  refused("TLS", 400, () => "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"),
  refused("a space before the method", 400, (door, body) => ` ${whole(door, body(1))}`),
  ...(["post", "FOO", "PO ST", "POST\x0b"] as const).map((method) =>
    refused(`the method ${JSON.stringify(method)}`, 400, (door, body) =>
      whole(door, body(1)).replace(methodOf(door), method),
    ),
  ),
  ...(["PUT", "PATCH", "TRACE", "PROPFIND", "QUERY", "PURGE", "M-SEARCH"] as const).map((method) =>
    refused(`the method ${method}`, 405, (door, body) =>
      whole(door, body(1)).replace(methodOf(door), method),
    ),
  ),
  refused("the method HEAD", 405, (door) => post(door, "", "").replace(methodOf(door), "HEAD")),
  refused("the method OPTIONS", 204, (door, body) =>
    whole(door, body(1)).replace(methodOf(door), "OPTIONS"),
  ),
  refused("CONNECT to this path", 405, (door) =>
    post(door, "", "").replace(methodOf(door), "CONNECT"),
  ),
  refused(
    "CONNECT to a machine",
    405,
    (door, body) =>
      `CONNECT localhost:80 HTTP/1.1\r\n${HOST}${door.head}\r\n${whole(door, body(1))}`,
  ),
];

/** Those that are about the request line and the headers: for requests that need no body. */
export const HEAD_CASES: readonly RawCase[] = [...HEADERS, ...PATHS, ...LINES];

/** What a client may send that is nobody's friend, and what becomes of it. */
export const RAW_CASES: readonly RawCase[] = [...FRAMING, ...SEVERAL, ...HEAD_CASES];
