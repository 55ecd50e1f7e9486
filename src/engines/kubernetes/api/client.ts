import { Agent, request as requestHttps } from "node:https";
import type { IncomingMessage } from "node:http";
import { isDeepStrictEqual } from "node:util";
import { passed } from "../../../platform/abort.ts";
import { textWithin } from "../../../platform/text-within.ts";
import type { Cluster, Credentials } from "./cluster.ts";
import { ApiFailure, refusalIn, unreachable } from "./failure.ts";

/** More than the longest page of a list, and than any one object. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;
const MAX_REFUSAL_BYTES = 64 * 1024;
const PATIENCE_MS = 15_000;
/** How often one request is asked to come later before that is its answer. */
const MAX_TURNS_AWAY = 5;
const USUAL_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

export interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
  readonly signal?: AbortSignal;
}

/** A connection to the apiserver is worth keeping: each needs two round trips and a signature. */
interface Kept {
  readonly agent: Agent;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

/**
 * Plain requests to a cluster's apiserver. Its official client is 83 MB for every installation, to make
 * these six kinds of request.
 *
 * 429 is obeyed by all requests: who is told to come later keeps the others waiting, too.
 */
export class ApiClient {
  readonly #cluster: Cluster;
  readonly #closing = new AbortController();
  #kept: Kept | undefined;
  /** `performance.now()` from which on the apiserver wants to be asked again. */
  #notBefore = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** What it answers. Rejects with an ApiFailure, with CONFIG_UNREADABLE for want of credentials, or with the signal's reason. */
  async ask<T>(call: Call): Promise<T> {
    for (let turn = 1; ; turn++) {
      const patience = AbortSignal.timeout(PATIENCE_MS);
      const signal = AbortSignal.any([patience, this.#closing.signal, ...listOf(call.signal)]);
      await this.#itsTurn(signal);
      try {
        const answer = await this.#send(call, signal);
        return JSON.parse(await textWithin(answer, MAX_BODY_BYTES, tooLong)) as T;
      } catch (error) {
        call.signal?.throwIfAborted();
        const failure = error instanceof SyntaxError ? this.#unreachable(error) : error;
        if (!this.#mayAgain(failure, turn)) throw failure;
      }
    }
  }

  /** The lines of an answer that goes on until the signal aborts, or either side ends it. Rejects as `ask`. */
  async *lines(call: Call & { readonly signal: AbortSignal }): AsyncGenerator<string> {
    const signal = AbortSignal.any([call.signal, this.#closing.signal]);
    await this.#itsTurn(signal);
    const answer = await this.#send(call, signal);
    let rest = "";
    try {
      for await (const chunk of answer.setEncoding("utf8") as AsyncIterable<string>) {
        const [first = "", ...others] = chunk.split("\n");
        // Not searched again: the time for a long line is as its length.
        const parts = [rest + first, ...others];
        rest = parts.pop()!;
        if (rest.length > MAX_BODY_BYTES)
          throw new ApiFailure("the apiserver wrote too long a line");
        yield* parts.filter((line) => line !== "");
      }
    } catch (error) {
      call.signal.throwIfAborted();
      throw error instanceof ApiFailure ? error : this.#unreachable(error);
    } finally {
      answer.destroy();
    }
  }

  close(): void {
    this.#closing.abort(new ApiFailure("the daemon is stopping"));
    this.#kept?.agent.destroy();
  }

  async #itsTurn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    for (let ms = this.#waitMs(); ms > 0; ms = this.#waitMs()) await passed(Math.ceil(ms), signal);
  }

  #waitMs(): number {
    return this.#notBefore - performance.now();
  }

  #mayAgain(failure: unknown, turn: number): boolean {
    if (!(failure instanceof ApiFailure) || turn > MAX_TURNS_AWAY) return false;
    const { status, retryAfterMs } = failure;
    // The credentials have run out, or were replaced: they are fetched anew, once.
    if (status === 401) return turn === 1;
    return status === 429 && (retryAfterMs ?? 0) <= LONGEST_WAIT_MS;
  }

  async #send(call: Call, signal: AbortSignal): Promise<IncomingMessage> {
    const credentials = await this.#cluster.credentials();
    const answer = await this.#request(call, credentials, signal);
    const { statusCode = 0, headers } = answer;
    if (statusCode >= 200 && statusCode < 300) return answer;
    const text = await textWithin(answer, MAX_REFUSAL_BYTES, tooLong).catch(() => "");
    const failure = refusalIn(statusCode, headers["retry-after"], text);
    if (statusCode === 401) this.#cluster.refused();
    if (statusCode === 429) this.#putOff(failure.retryAfterMs);
    throw failure;
  }

  #putOff(retryAfterMs = USUAL_WAIT_MS): void {
    // Those who were turned away together must not come back together.
    const waitMs = Math.min(retryAfterMs, LONGEST_WAIT_MS) * (1 + Math.random() / 4);
    this.#notBefore = Math.max(this.#notBefore, performance.now() + waitMs);
  }

  async #request(
    { method, path, query, body }: Call,
    credentials: Credentials,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { server } = this.#cluster;
    const url = new URL(server.pathname.replace(/\/$/, "") + path, server);
    for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
    const text = body === undefined ? undefined : JSON.stringify(body);
    const { token } = credentials;
    const headers = {
      accept: "application/json",
      "user-agent": "mcp-supervisor",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(text !== undefined && {
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(text)),
      }),
    };
    const agent = this.#agentFor(credentials);
    return await new Promise((resolve, reject) => {
      const request = requestHttps(url, { method, headers, agent, signal });
      request.on("response", resolve);
      request.on("error", (error) => reject(this.#failureOf(error, signal)));
      request.end(text);
    });
  }

  #failureOf(error: Error, signal: AbortSignal): unknown {
    const { reason } = signal as { reason: unknown };
    if (!signal.aborted || (reason as Error).name === "TimeoutError")
      return this.#unreachable(signal.aborted ? reason : error);
    return reason;
  }

  #unreachable(error: unknown): ApiFailure {
    return unreachable(this.#cluster.server.host, error);
  }

  /** The one that knows us by this certificate. */
  #agentFor({ certificate, key }: Credentials): Agent {
    const kept = this.#kept;
    if (kept !== undefined && isDeepStrictEqual([kept.certificate, kept.key], [certificate, key]))
      return kept.agent;
    // Who is still being answered there goes on; nothing new comes.
    const { ca, serverName } = this.#cluster;
    const agent = new Agent({
      keepAlive: true,
      minVersion: "TLSv1.2",
      ca,
      cert: certificate,
      key,
      ...(serverName !== undefined && { servername: serverName }),
    });
    this.#kept = { agent, certificate, key };
    return agent;
  }
}

const listOf = (signal: AbortSignal | undefined): AbortSignal[] =>
  signal === undefined ? [] : [signal];

const tooLong = (): ApiFailure => new ApiFailure("the apiserver's answer is too long");
