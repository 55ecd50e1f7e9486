import type { IncomingHttpHeaders } from "node:http";
import { fieldName, withoutBlanks } from "../../platform/header-fields.ts";

/** What the own reader takes: messages, and requests for an event stream. */
export type OwnMethod = "GET" | "POST";

/** The head of a request that the own reader takes. */
export interface OwnHead {
  readonly method: OwnMethod;
  readonly url: string;
  /** By their names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turns, as they were sent. */
  readonly rawHeaders: string[];
  readonly contentLength: number;
}

/** The first line: a path of unreserved letters and slashes, and a query without what anybody might take for a fragment (RFC 3986, 3.3 and 3.4). */
const FIRST_LINE = /^(GET|POST) (\/[\w./~-]*(?:\?[!"$-~]*)?) HTTP\/1\.1$/;
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
 * Reads the head (all bytes up to the empty line, as latin1) of a request to a hot route; undefined for
 * everything that is not of the strict subset, be it good HTTP/1.1 or not: `POST` with exactly one
 * Content-Length of digits or `GET` with none, a plain target, each name once and not too many, exactly
 * one Host, `Connection: keep-alive` or none. What is read here Node reads the same way.
 */
export function readHead(text: string): OwnHead | undefined {
  if (ODD.test(text)) return undefined;
  let end = endOfLine(text, 0);
  const [, method, url] = FIRST_LINE.exec(text.slice(0, end)) ?? [];
  if (url === undefined) return undefined;
  const headers = Object.create(null) as IncomingHttpHeaders;
  const rawHeaders: string[] = [];
  for (let start = end + 2; start < text.length; start = end + 2) {
    end = endOfLine(text, start);
    if (!addField(text.slice(start, end), headers, rawHeaders)) return undefined;
    if (rawHeaders.length > 2 * MAX_FIELDS) return undefined;
  }
  const { host, connection, "content-length": length } = headers;
  const isKept = connection === undefined || connection.toLowerCase() === "keep-alive";
  const isFramed = method === "GET" ? length === undefined : LENGTH.test(length ?? "");
  if (host === undefined || !isKept || !isFramed) return undefined;
  const contentLength = Number(length ?? 0);
  return { method: method as OwnMethod, url, headers, rawHeaders, contentLength };
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf("\r\n", from);
  return end === -1 ? text.length : end;
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
