import { request as requestHttp } from "node:http";
import type { IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import { guardedLookup, requireAllowedHost } from "./address.ts";
import { textWithin } from "./text-within.ts";

/** Nobody who is asked this way has more to say. */
const MAX_ANSWER_BYTES = 256 * 1024;

export interface Post {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** Called when there is a connection: until then nothing can have reached the other side. */
  onSending?: () => void;
}

export interface PostAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/**
 * Posts once: no redirect is followed, no connection kept, nothing sent again, and no forbidden address
 * called. Rejects with what kept an answer from coming.
 */
export async function postOnce(
  { headers, ...post }: Post,
  signal: AbortSignal,
): Promise<PostAnswer> {
  const length = String(Buffer.byteLength(post.body));
  return await sendOnce(
    "POST",
    { ...post, headers: { ...headers, "content-length": length } },
    signal,
  );
}

/** As `postOnce`, for what is only asked for. */
export async function getOnce(url: string, signal: AbortSignal): Promise<PostAnswer> {
  return await sendOnce("GET", { url, headers: {}, body: "" }, signal);
}

async function sendOnce(
  method: "POST" | "GET",
  { url, headers, body, onSending = () => {} }: Post,
  signal: AbortSignal,
): Promise<PostAnswer> {
  const target = new URL(url);
  requireAllowedHost(target.hostname);
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = target.protocol === "https:" ? requestHttps : requestHttp;
    const call = request(target, {
      method,
      headers: { accept: "application/json", ...headers },
      agent: false,
      lookup: guardedLookup,
      signal,
    });
    const connected = target.protocol === "https:" ? "secureConnect" : "connect";
    call.once("socket", (socket) => socket.once(connected, onSending));
    call.once("response", resolve);
    call.once("error", reject);
    call.end(body);
  });
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers as Record<string, string>,
    body: await textWithin(answer, MAX_ANSWER_BYTES, () => new Error("the answer is too long")),
  };
}

/** The JSON text as an object; empty where it is none. */
export function objectIn(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
