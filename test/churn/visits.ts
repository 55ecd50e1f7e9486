import { once } from "node:events";
import { request } from "node:http";
import type { ClientRequest, IncomingMessage } from "node:http";
import { bearer, call, initialize, json, rpc } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

export interface Door {
  port: number;
  user: string;
  secret: string;
}

/** One client's way to a server: which front, and whether its bytes are relayed or its messages carried over. */
export interface Way {
  front: "sse" | "http";
  server: "by-sse" | "by-http" | "by-stdio";
}

export const WAYS: readonly Way[] = (["sse", "http"] as const).flatMap((front) =>
  (["by-sse", "by-http", "by-stdio"] as const).map((server) => ({ front, server })),
);

/** How a client leaves; only over Streamable HTTP is there a word for it. */
export type Leaving = "drop" | "mid-call" | "delete";
/** What a stream is at when its client ends it. */
export type Aborting = "unanswered" | "open" | "answering" | "unread";

export const LEAVINGS: readonly Leaving[] = ["drop", "mid-call", "delete"];
export const ABORTINGS: readonly Aborting[] = ["unanswered", "open", "answering", "unread"];

const PATIENCE_MS = 120_000;
/** Is still under way when its client leaves, and over soon after. */
const SLEEP = call("sleep", "sleep", { ms: 300, message: "x" });
const ANSWER = rpc("flood", "tools/call", {
  name: "progress",
  arguments: { count: 500, message: "x" },
  _meta: { progressToken: 1 },
});
/** Answered with more than the sockets on the way take at once. */
const FLOOD = call("flood", "blob", { bytes: 8 * 1024 * 1024 });

function check(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(what);
}

const pathOf = ({ user }: Door, { server, front }: Way): string =>
  `/u/${user}/${server}/${front === "sse" ? "sse" : "mcp"}`;

/** A request of which only the beginning is of interest; errors are the end that was wanted. */
function begin(
  { port, secret }: Door,
  way: { method: string; path: string; headers?: string[]; body?: string },
): ClientRequest {
  const { method, path, headers = [], body } = way;
  const all = ["host", "localhost", ...bearer(secret), ...json, ...headers];
  if (body !== undefined) all.push("content-length", String(Buffer.byteLength(body)));
  const req = request({ port, host: "127.0.0.1", method, path, headers: all, agent: false });
  req.on("error", () => undefined);
  req.end(body);
  return req;
}

/** Resolves when the gateway has most likely read what was sent before: it has answered what came later. */
async function afterwards({ port }: Door): Promise<void> {
  await ask(port, { path: "/health" });
}

async function post(door: Door, path: string, body: string, headers: string[] = []) {
  const all = [...bearer(door.secret), ...json, ...headers];
  return await ask(door.port, { method: "POST", path, body, headers: all });
}

async function openSse(door: Door, way: Way) {
  const headers = bearer(door.secret);
  const stream = await EventStream.open(door.port, { path: pathOf(door, way), headers });
  const endpoint = await until(() => stream.endpoint, "the endpoint has come", PATIENCE_MS);
  const accepted = await post(door, endpoint, initialize("hello"));
  check(accepted.status === 202, `initialize: ${accepted.status} ${accepted.body}`);
  await until(() => stream.messages().length > 0, "the server has answered", PATIENCE_MS);
  return { stream, endpoint };
}

/** The header that names the session. */
async function openHttp(door: Door, way: Way): Promise<string[]> {
  const { status, headers, body } = await post(door, pathOf(door, way), initialize("hello"));
  check(status === 200, `initialize: ${status} ${body}`);
  return ["mcp-session-id", String(headers["mcp-session-id"])];
}

/** A client that connects, says hello and leaves. */
export async function visit(door: Door, way: Way, leaving: Leaving): Promise<void> {
  if (way.front === "sse") {
    const { stream, endpoint } = await openSse(door, way);
    if (leaving === "mid-call") {
      const { status } = await post(door, endpoint, SLEEP);
      check(status === 202, `a call: ${status}`);
    }
    return stream.close();
  }
  const path = pathOf(door, way);
  const session = await openHttp(door, way);
  const headers = [...bearer(door.secret), ...session, "accept", "text/event-stream"];
  const stream = await EventStream.open(door.port, { path, headers });
  check(stream.status === 200, `the session's stream: ${stream.status}`);
  if (leaving === "mid-call") {
    const req = begin(door, { method: "POST", path, headers: session, body: SLEEP });
    await once(req, "finish");
    await afterwards(door);
    req.destroy();
  }
  if (leaving === "delete") {
    const ended = await ask(door.port, { method: "DELETE", path, headers });
    check(ended.status < 300, `DELETE: ${ended.status}`);
    await until(() => stream.isEnded, "the stream of the session has ended", PATIENCE_MS);
  }
  stream.close();
}

/** A client whose stream ends by its own doing, at one of the moments at which that can be. */
export async function abort(door: Door, way: Way, aborting: Aborting): Promise<void> {
  const path = pathOf(door, way);
  if (way.front === "sse") {
    if (aborting === "unanswered" || aborting === "open")
      return await cut(begin(door, { method: "GET", path }), aborting);
    const { stream, endpoint } = await openSse(door, way);
    if (aborting === "unread") stream.pause();
    const message = aborting === "unread" ? FLOOD : ANSWER;
    const { status, body } = await post(door, endpoint, message);
    check(status === 202, `a call: ${status} ${body}`);
    if (aborting === "answering")
      await until(() => stream.text.includes("progress"), "the answer has begun", PATIENCE_MS);
    return stream.close();
  }
  const session = await openHttp(door, way);
  if (aborting === "unanswered" || aborting === "open") {
    await cut(begin(door, { method: "GET", path, headers: session }), aborting);
  } else {
    const body = aborting === "unread" ? FLOOD : ANSWER;
    await cut(begin(door, { method: "POST", path, headers: session, body }), aborting);
  }
  await ask(door.port, { method: "DELETE", path, headers: [...bearer(door.secret), ...session] });
}

async function cut(req: ClientRequest, aborting: Aborting): Promise<void> {
  if (aborting === "unanswered") {
    await once(req, "finish");
  } else {
    const [res] = (await once(req, "response")) as [IncomingMessage];
    res.on("error", () => undefined);
    if (aborting === "answering") await once(res, "data");
  }
  req.destroy();
}
