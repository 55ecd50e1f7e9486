import assert from "node:assert/strict";
import { test } from "node:test";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import { signedJwt } from "../helpers/jwt.ts";

const TOKEN = signedJwt("a secret of thirty-two bytes or so", { sub: "alice", exp: 2_000_000_000 });
const base64 = (text: string): string => Buffer.from(text).toString("base64");

test("a JWT that nobody has told of is removed, as it is and in base64", () => {
  const scrubber = new Scrubber();
  const shapes = [
    `GET /u/alice/sse?token=${TOKEN}&x=1`,
    `Authorization: Bearer ${TOKEN}`,
    `token%3D${TOKEN}`,
    JSON.stringify({ token: TOKEN }),
    `the header ${TOKEN.split(".").slice(0, 2).join(".")}. is one`,
    ...["", "x", "xy"].map((before) => `Basic ${base64(before + TOKEN)}`),
  ];
  for (const text of shapes) {
    const clean = scrubber.scrub(text);
    assert.match(clean, /\[secret\]/, text);
    for (const part of TOKEN.split(".").slice(0, 2))
      assert.equal(clean.includes(part.slice(3)), false, clean);
  }
  assert.equal(scrubber.scrub("see eyJx.com and hey.you.there"), "see eyJx.com and hey.you.there");
});

test("of a JWT that was cut off at the end of a text nothing is left", () => {
  const scrubber = new Scrubber();
  for (let length = 11; length < TOKEN.length; length += 1)
    assert.equal(scrubber.scrubCut(`token=${TOKEN.slice(0, length)}`), "token=[secret]");
});

test("a megabyte of what looks like the beginning of a JWT is read in one go", () => {
  const scrubber = new Scrubber();
  // Were each place in it looked at anew, this would take minutes.
  for (const piece of ["eyJ", "eyJaaaaaaaa.", "ZXlK", "a-"])
    assert.ok(scrubber.scrub(piece.repeat(2 ** 18)).length > 0);
});
