import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { bounded } from "../../src/telemetry/bounded.ts";
import { MIN_SECRET_LENGTH, Scrubber } from "../../src/telemetry/scrubber.ts";

/** As unpleasant as tokens get. */
const ODD = 'pä"ss/wo+rd\\ 100%\té😀';

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** Ways in which programs write a secret down. */
const WRITTEN: Record<string, (secret: string) => string> = {
  "as it is": (secret) => secret,
  "in a JSON string": (secret) => JSON.stringify({ token: secret }),
  "in JSON inside of a JSON string": (secret) => JSON.stringify(JSON.stringify({ token: secret })),
  "in JSON of ASCII alone": (secret) =>
    JSON.stringify(secret).replaceAll(
      /[^\0-\x7f]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
    ),
  "in a line of the daemon's own": (secret) => bounded(secret, 1000),
  "in a header": (secret) => bounded(Buffer.from(secret).toString("latin1"), 1000),
  "in a line inside of a JSON string": (secret) => JSON.stringify(bounded(secret, 1000)),
  "in a URL": (secret) => `https://example.org/?token=${encodeURIComponent(secret)}&x=1`,
  "in a URL with small hex digits": (secret) =>
    encodeURIComponent(secret).replaceAll(/%../g, (code) => code.toLowerCase()),
  "in a form": (secret) => new URLSearchParams({ token: secret }).toString(),
  "in base64": (secret) => base64(secret),
  "in base64 behind one byte": (secret) => base64(`:${secret}`),
  "in base64 behind two bytes": (secret) => base64(`a:${secret}`),
  "in base64 between others": (secret) => base64(`alice:${secret}\n`),
  "in base64url": (secret) => Buffer.from(`xy${secret}z`).toString("base64url"),
};

/** Whether eight characters in a row of what stands for the secret are left. */
function remains(text: string, secret: string, write: (secret: string) => string): boolean {
  const written = write(secret);
  const other = write(Array.from(secret, () => "~").join(""));
  // What is the same with another secret gives nothing away.
  for (let at = 0; at + 8 <= written.length; at += 1) {
    const piece = written.slice(at, at + 8);
    if (!other.includes(piece) && !other.includes(piece.slice(0, 6)) && text.includes(piece))
      return true;
  }
  return false;
}

for (const [way, write] of Object.entries(WRITTEN)) {
  test(`a secret is removed ${way}`, () => {
    for (const secret of [ODD, "tok_0123456789abcdef", randomBytes(24).toString("base64")]) {
      const scrubber = new Scrubber();
      scrubber.set("alice/mail", secret);
      const clean = scrubber.scrub(`before ${write(secret)} after ${write(secret)}.`);
      assert.match(clean, /^before .*\[secret\].* after .*\[secret\].*\.$/s, way);
      assert.equal(remains(clean, secret, write), false, clean);
    }
  });
}

test("every line of a secret with several lines is removed by itself", () => {
  const scrubber = new Scrubber();
  const key = `-----BEGIN KEY-----\n${randomBytes(40).toString("base64")}\n-----END KEY-----`;
  scrubber.set("alice/mail", key);
  for (const line of key.split("\n")) assert.equal(scrubber.scrub(`x${line}y`), "x[secret]y");
});

test("bytes are removed in hex and in base64", () => {
  const scrubber = new Scrubber();
  const key = randomBytes(32);
  scrubber.set("vault key", Buffer.from(key));
  for (const text of [key.toString("hex"), key.toString("hex").toUpperCase()])
    assert.equal(scrubber.scrub(text), "[secret]");
  const inBase64 = scrubber.scrub(`"${key.toString("base64")}"`);
  assert.ok(inBase64.length <= '"[secret]a="'.length, inBase64);
});

test("access keys are known by their shape, in base64 too", () => {
  const scrubber = new Scrubber();
  const key = `mcps_${"aB3".repeat(12)}`;
  assert.equal(scrubber.scrub(`?token=${key}&x`), "?token=[secret]&x");
  for (const before of ["", "u", "us"]) {
    const clean = scrubber.scrub(base64(`${before}${key}`));
    assert.ok(clean.endsWith("[secret]") && clean.length < 16, clean);
  }
  assert.equal(scrubber.scrub("mcps_Ab12 is how it begins"), "mcps_Ab12 is how it begins");
});

test("a secret that is cut off with its line is removed up to the cut", () => {
  const scrubber = new Scrubber();
  scrubber.set("alice/mail", "tok_0123456789abcdef");
  assert.equal(scrubber.scrubCut("x tok_0123456789"), "x [secret]");
  assert.equal(scrubber.scrubCut("x tok_0123456789abcdef y"), "x [secret] y");
  assert.equal(scrubber.scrubCut("x mcps_0123"), "x [secret]");
  assert.equal(scrubber.scrubCut("nothing of it"), "nothing of it");
});

test("a secret too short to be told from other text is left, and said to be", () => {
  const scrubber = new Scrubber();
  assert.equal(scrubber.set("alice/mail", "a"), false);
  assert.equal(scrubber.set("bob/mail", "b".repeat(MIN_SECRET_LENGTH)), true);
  assert.equal(scrubber.scrub("a banana bbbbbbbb"), "a banana [secret]");
});

test("a secret that was replaced is looked for until its child has said its last", (t) => {
  t.mock.timers.enable({ apis: ["Date"] });
  let now = 1000;
  t.mock.method(performance, "now", () => now);
  const scrubber = new Scrubber();
  scrubber.set("alice/mail", "the-first-token");
  scrubber.set("bob/mail", "the-first-token");
  scrubber.set("alice/mail", "the-second-token");
  assert.equal(scrubber.scrub("the-first-token the-second-token"), "[secret] [secret]");
  now += 3_600_000;
  scrubber.delete("bob/mail");
  assert.equal(scrubber.scrub("the-first-token"), "[secret]");
  now += 3_600_000;
  scrubber.delete("alice/mail");
  assert.equal(scrubber.scrub("the-first-token the-second-token"), "the-first-token [secret]");
});

test("200 live secrets cost a line of log a few microseconds", () => {
  const scrubber = new Scrubber();
  for (let i = 0; i < 200; i += 1) scrubber.set(`u${i}/s`, randomBytes(24).toString("base64url"));
  const text = `{"request":"POST /u/alice/mcp","user_agent":"client/1.0"}\n`.repeat(1000);
  const before = process.cpuUsage();
  for (let i = 0; i < 10; i += 1) assert.equal(scrubber.scrub(text), text);
  const { user } = process.cpuUsage(before);
  // A search for each of them in turn would take some hundred.
  assert.ok(user / 10_000 < 50, `${user / 10_000} µs a line`);
});
