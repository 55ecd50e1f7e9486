import assert from "node:assert/strict";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { ask } from "../helpers/raw-http.ts";
import { bearer, call, initialize, json } from "../helpers/fixtures.ts";

export interface Target {
  port: number;
  socket: string;
  /** Whose server echoes. */
  user: string;
  secret: string;
  /** `u0`, `u1` … are users without a child. */
  users: number;
  /** What their tokens were set to, in order, and how many of these are acknowledged. */
  written: Map<string, { tokens: string[]; acknowledged: number }>;
}

export interface Load {
  failures: string[];
  /** In ms, in order of their ends. */
  calls: number[];
  writes: number[];
}

const CALLS_A_SECOND = 200;
const WRITES_A_SECOND = 20;

/** An order over the control socket; resolves with the answer once it is acknowledged. */
export async function order(
  socketPath: string,
  method: string,
  path: string,
  content?: object,
): Promise<unknown> {
  const body = content === undefined ? "" : JSON.stringify(content);
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const req = request({ socketPath, method, path, headers }, resolve);
    req.once("error", reject).end(body);
  });
  const said = await text(answer);
  assert.equal(answer.statusCode, 200, said);
  return JSON.parse(said);
}

/** Runs `work` at that rate until `until` resolves; each begins when it is due, however long others take. */
async function atRate(
  perSecond: number,
  until: Promise<unknown>,
  work: (turn: number) => Promise<void>,
): Promise<{ ms: number[]; failures: string[] }> {
  const over = new AbortController();
  void until.finally(() => over.abort());
  const ms: number[] = [];
  const failures: string[] = [];
  const running = new Set<Promise<void>>();
  const startedAt = performance.now();
  for (let turn = 0; !over.signal.aborted; turn += 1) {
    const dueAt = startedAt + (turn * 1000) / perSecond;
    await delay(Math.max(0, dueAt - performance.now()));
    const one = work(turn)
      .then(() => void ms.push(performance.now() - dueAt))
      .catch((error: unknown) => void failures.push((error as Error).message))
      .finally(() => running.delete(one));
    running.add(one);
  }
  await Promise.all(running);
  return { ms, failures };
}

/** Calls of a tool and changes of tokens at fixed rates while `during` lasts. */
export async function load(target: Target, during: Promise<unknown>): Promise<Load> {
  const { port, socket, user, secret, users, written } = target;
  const headers = [...bearer(secret), ...json];
  const path = `/u/${user}/mcp`;
  const begun = await ask(port, { method: "POST", path, headers, body: initialize() });
  const session = begun.headers["mcp-session-id"];
  const more = typeof session === "string" ? ["mcp-session-id", session] : [];
  const [calls, writes] = await Promise.all([
    atRate(CALLS_A_SECOND, during, async (turn) => {
      const body = call(turn + 1, "echo", { text: `hello ${turn}` });
      const answer = await ask(port, {
        method: "POST",
        path,
        headers: [...headers, ...more],
        body,
      });
      if (answer.status !== 200 || !answer.body.includes('"result"'))
        throw new Error(`${answer.status} ${answer.body.slice(0, 200)}`);
    }),
    atRate(WRITES_A_SECOND, during, async (turn) => {
      const name = `u${(turn * 7919) % users}`;
      const token = `another-token-of-${name}-${Date.now()}-${turn}`;
      const known = written.get(name) ?? { tokens: [], acknowledged: 0 };
      written.set(name, known);
      known.tokens.push(token);
      await order(socket, "PUT", `/api/users/${name}/token`, { token });
      known.acknowledged = Math.max(known.acknowledged, known.tokens.indexOf(token) + 1);
    }),
  ]);
  return {
    failures: [...calls.failures, ...writes.failures],
    calls: calls.ms,
    writes: writes.ms,
  };
}

export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
