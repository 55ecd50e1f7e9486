import { stripVTControlCharacters } from "node:util";
import { bounded } from "./bounded.ts";

/**
 * The ways in which a secret may stand in text: as it is, URL-encoded, JSON-escaped (once, and once
 * more inside of a JSON log line), in base64 wherever it begins in it, in hex. Programs differ in
 * what they escape, so each way has its variants, and one of them is our own (`bounded`).
 */
export function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret, "utf8");
  const escaped = jsonEscaped(secret);
  return [
    secret,
    // What is left of it in kept output, which drops what a terminal would obey.
    stripVTControlCharacters(secret).replaceAll(/(?!\t)\p{Cc}/gu, ""),
    // One that has several lines (a PEM key) is printed line by line.
    ...(/[\r\n]/.test(secret) ? secret.split(/[\r\n]+/) : []),
    escaped,
    jsonEscaped(escaped),
    asciiOnly(escaped),
    asciiOnly(jsonEscaped(escaped)),
    escaped.replaceAll("/", String.raw`\/`),
    // Node reads every byte of a header as a character.
    ...[secret, bytes.toString("latin1")].flatMap((text) => {
      const inLine = bounded(text, Infinity);
      return [text, inLine, jsonEscaped(inLine)];
    }),
    ...urlEncoded(bytes),
    ...base64Of(bytes),
  ];
}

/** As `formsOf`, for a secret that is bytes and never text. */
export function formsOfBytes(bytes: Buffer): string[] {
  const hex = bytes.toString("hex");
  return [hex, hex.toUpperCase(), ...base64Of(bytes), ...urlEncoded(bytes)];
}

const jsonEscaped = (text: string): string => JSON.stringify(text).slice(1, -1);

/** As Python's json and many loggers write it. */
function asciiOnly(text: string): string {
  return text.replaceAll(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function urlEncoded(bytes: Buffer): string[] {
  if (/^[A-Za-z0-9_.-]*$/.test(bytes.toString("latin1"))) return [];
  // RFC 3986 unreserved, what encodeURIComponent leaves beside them, and what forms leave.
  const kept = [/[A-Za-z0-9_.~-]/, /[A-Za-z0-9_.~!'()*-]/, /[A-Za-z0-9_.*-]/];
  return kept.flatMap((plain, index) => {
    let text = "";
    for (const byte of bytes) {
      const character = String.fromCharCode(byte);
      if (plain.test(character)) text += character;
      else if (index === 2 && character === " ") text += "+";
      else text += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    }
    return [text, text.replaceAll(/%../g, (code) => code.toLowerCase())];
  });
}

/**
 * Base64 takes three bytes for four characters, so the same bytes look different by where they begin.
 * The characters that the bytes before or behind have a part in are left out.
 */
function base64Of(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64url");
    const from = before === 0 ? 0 : before + 1;
    const whole = Math.floor(((before + bytes.length) * 8) / 6);
    const url = text.slice(from, whole);
    return [url.replaceAll("-", "+").replaceAll("_", "/"), url];
  });
}
