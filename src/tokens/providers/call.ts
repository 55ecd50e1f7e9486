import { request as requestHttp } from "node:http";
import type { IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import { guardedLookup, requireAllowedHost } from "../../platform/address.ts";
import { Refused } from "./provider.ts";

/** No token is this long. */
const MAX_ANSWER_BYTES = 256 * 1024;

export interface ProviderRequest {
  url: string;
  headers: Record<string, string>;
  body: string;
}

export interface ProviderAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/**
 * Posts once: no redirect is followed, no connection kept, nothing sent again. Rejects with a transient
 * Refused where no answer came.
 */
export async function callProvider(
  { url, headers, body }: ProviderRequest,
  signal: AbortSignal,
): Promise<ProviderAnswer> {
  const target = new URL(url);
  try {
    requireAllowedHost(target.hostname);
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = target.protocol === "https:" ? requestHttps : requestHttp;
      const length = String(Buffer.byteLength(body));
      const call = request(target, {
        method: "POST",
        headers: { accept: "application/json", ...headers, "content-length": length },
        agent: false,
        lookup: guardedLookup,
        signal,
      });
      call.once("response", resolve);
      call.once("error", reject);
      call.end(body);
    });
    return {
      status: answer.statusCode ?? 0,
      headers: answer.headers as Record<string, string>,
      body: await textOf(answer),
    };
  } catch (error) {
    const { code = "no answer" } = error as NodeJS.ErrnoException;
    const why = signal.aborted ? "it did not answer in time" : `it cannot be reached (${code})`;
    throw new Refused("transient", why, { isAnswer: false });
  }
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new Error("the answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** The answer as an object; empty where it is none. */
export function objectIn(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** How long the provider wants to be left alone: seconds or a date. */
export function retryAfterOf({ headers }: Pick<ProviderAnswer, "headers">): number | undefined {
  const text = headers["retry-after"];
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}
