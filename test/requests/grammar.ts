import { pick } from "../torture/random.ts";

type Random = () => number;

const ODD_LINES = [
  "Content-Length: 3",
  "content-length: 0",
  "Content-Length: +3",
  "Content-Length: 3, 3",
  "Content-Length: 0x3",
  "Content-Length: 000000003",
  "Content-Length: 99999999999",
  "Content-Length:",
  "Content-Length : 3",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: identity",
  "TE: trailers",
  "Trailer: x-a",
  "Upgrade: websocket",
  "Upgrade: h2c",
  "Connection: close",
  "Connection: Keep-Alive",
  "Connection: keep-alive, te",
  "Connection: upgrade",
  "Proxy-Connection: close",
  "Expect: 100-continue",
  "Content-Encoding: gzip",
  "Host: another",
  "Host:",
  "X-Empty:",
  "X-Blank:   \t ",
  "X-Tabs:\ta\tb\t",
  "X-Nul: a\0b",
  "X-High: \xe4\xff",
  "X-Del: \x7f",
  "X-Cr: a\rb",
  "X-Lf: a\nb",
  " X-Fold: 1",
  "\tmore of the line before",
  "X Y: 1",
  "X(Y): 1",
  "no colon",
  ": no name",
  "__proto__: x",
  "constructor: x",
  "Cookie: a=1",
  "Set-Cookie: b=2",
  "X-Long: " + "x".repeat(4_000),
  "X-Same: 1",
  "x-same: 2",
];

const PLAIN_LINES = [
  "Accept: application/json, text/event-stream",
  "Content-Type: application/json",
  "Authorization: Bearer mcps_abc",
  "User-Agent: test/1 (a; b)",
  "Mcp-Session-Id: 7c9e6679",
  "MCP-Protocol-Version: 2025-11-25",
  "Accept-Encoding: gzip, deflate, br",
  "Connection: keep-alive",
  "X-Punctuation: !#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\"",
];

const TARGETS = [
  "/hot",
  "/hot?a=b&c=%20d",
  '/hot/~user/x.y-z?q=/../..//@evil"<>[]{}|\\^`',
  "/hot?",
  "/hot//",
];
const ODD_TARGETS = [
  "/hot%41",
  "/hot\\x",
  "/hot#fragment",
  "/hot?a#b",
  "/cold",
  "hot",
  "*",
  "http://localhost/hot",
  "//hot",
  "/hot x",
  "/hot\tx",
  "/hot\x7f",
  "/hot\xe4",
  "/hot?\xe4",
  "/hot?\x01",
  "/hot;a=b",
];
const ODD_METHODS = [
  "GET",
  "post",
  "PUT",
  "POSTS",
  "PO ST",
  "OPTIONS",
  " POST",
  "\r\nPOST",
  "\nPOST",
];
const ODD_VERSIONS = ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/11", ""];
const BODIES = ["", "abc", '{"jsonrpc":"2.0"}', "\r\n\r\n", "POST /hot HTTP/1.1\r\n\r\n", "\0\xff"];

/** Now and then. */
const rarely = (random: Random): boolean => random() < 0.06;

/** One message: mostly as clients write it, here and there with something that they do not. */
function messageOf(random: Random): string {
  const usual = pick(random, ["POST", "POST", "POST", "GET"]);
  const body = usual === "POST" ? pick(random, BODIES) : "";
  const isOdd = random() < 0.5;
  const odd = (): boolean => isOdd && rarely(random);
  const lines = ["Host: localhost"];
  if (usual === "POST") lines.push(`Content-Length: ${body.length}`);
  for (const line of PLAIN_LINES) if (random() < 0.4) lines.push(line);
  for (let n = isOdd ? Math.floor(random() * 3) : 0; n > 0; n--)
    lines.push(pick(random, ODD_LINES));
  if (odd()) lines.splice(Math.floor(random() * lines.length), 1);
  lines.sort(() => random() - 0.5);
  const method = odd() ? pick(random, ODD_METHODS) : usual;
  const target = odd() ? pick(random, ODD_TARGETS) : pick(random, TARGETS);
  const version = odd() ? pick(random, ODD_VERSIONS) : "HTTP/1.1";
  const ending = odd() ? pick(random, ["\n", "\r", "\r\r\n"]) : "\r\n";
  const blanks = odd() ? pick(random, ["  ", "\t", ""]) : " ";
  return `${method}${blanks}${target} ${version}${ending}${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** Takes out, doubles or changes single bytes. */
function mutated(random: Random, text: string): string {
  let all = text;
  for (let n = Math.floor(random() * 3); n > 0; n--) {
    const at = Math.floor(random() * all.length);
    const byte = String.fromCharCode(
      pick(random, [0, 9, 10, 13, 32, 44, 58, 127, 255, Math.floor(random() * 256)]),
    );
    const kept = pick(random, [0, 1]);
    all = all.slice(0, at) + pick(random, [byte, "", all.slice(at, at + 2)]) + all.slice(at + kept);
  }
  return all;
}

/** What one connection carries: so many messages, one behind the other. */
export function messagesOf(random: Random, count: number): Buffer[] {
  return Array.from({ length: count }, () => {
    const text = messageOf(random);
    return Buffer.from(random() < 0.2 ? mutated(random, text) : text, "latin1");
  });
}
