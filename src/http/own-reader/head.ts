import type { IncomingHttpHeaders } from "node:http";
import { fieldName, withoutBlanks } from "../../platform/header-fields.ts";

/** The head of a message that the own reader takes. Of one text there is one on each connection that sends it again. */
export interface MessageHead {
  /** All bytes of it, as latin1, up to the empty line. */
  readonly text: string;
  readonly url: string;
  /** By their names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turns, as they were sent. */
  readonly rawHeaders: string[];
  readonly contentLength: number;
}

/** What every request of this kind begins and ends its first line with. */
const METHOD = "POST ";
const VERSION = " HTTP/1.1";
/** A path of unreserved letters and slashes, and a query without what anybody might take for a fragment (RFC 3986, 3.3 and 3.4). */
const TARGET = /^\/[\w./~-]*(?:\?[!"$-~]*)?$/;
/** What no head of ours has in it, the ends of its lines but for pairs; obs-text (0x80 to 0xFF) is for Node to judge. */
const ODD = /[^\t\x20-\x7e\r\n]|\r(?!\n)|(?<!\r)\n/;
/** Clients send a dozen. A head is kept for those that are like it, and each field of it takes many times its bytes. */
const MAX_FIELDS = 64;
const LENGTH = /^\d{1,8}$/;

/** Fields that change how a message is framed, what becomes of its connection, or in which form Node has them: requests with one are Node's. */
const FOR_NODE = new Set([
  "content-encoding",
  "expect",
  "proxy-connection",
  "set-cookie",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "__proto__",
]);

/**
 * Reads the head of a message to a hot route; undefined for everything that is not of the strict
 * subset, be it good HTTP/1.1 or not: `POST`, a plain target, each name once and not too many,
 * exactly one Host and one Content-Length of digits, `Connection: keep-alive` or none. What is read
 * here Node reads the same way.
 */
export function readHead(text: string): MessageHead | undefined {
  if (ODD.test(text)) return undefined;
  let end = endOfLine(text, 0);
  const url = targetIn(text.slice(0, end));
  if (url === undefined) return undefined;
  const headers = Object.create(null) as IncomingHttpHeaders;
  const rawHeaders: string[] = [];
  for (let start = end + 2; start < text.length; start = end + 2) {
    end = endOfLine(text, start);
    if (!addField(text.slice(start, end), headers, rawHeaders)) return undefined;
    if (rawHeaders.length > 2 * MAX_FIELDS) return undefined;
  }
  const { host, connection, "content-length": length = "" } = headers;
  const isKept = connection === undefined || connection.toLowerCase() === "keep-alive";
  if (host === undefined || !LENGTH.test(length) || !isKept) return undefined;
  return { text, url, headers, rawHeaders, contentLength: Number(length) };
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf("\r\n", from);
  return end === -1 ? text.length : end;
}

function targetIn(line: string): string | undefined {
  if (!line.startsWith(METHOD) || !line.endsWith(VERSION)) return undefined;
  const target = line.slice(METHOD.length, -VERSION.length);
  return TARGET.test(target) ? target : undefined;
}

/** False where the field is none, is there twice, or is for Node. */
function addField(line: string, headers: IncomingHttpHeaders, rawHeaders: string[]): boolean {
  const colon = line.indexOf(":");
  const spelled = line.slice(0, Math.max(colon, 0));
  const name = fieldName(spelled);
  if (name === undefined || FOR_NODE.has(name) || headers[name] !== undefined) return false;
  const value = withoutBlanks(line.slice(colon + 1));
  headers[name] = value;
  rawHeaders.push(spelled, value);
  return true;
}
