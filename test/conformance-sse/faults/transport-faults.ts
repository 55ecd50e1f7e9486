import type { Message } from "../session.ts";
import {
  type Fault,
  answersWith,
  endsAfter,
  isAnswer,
  isNotification,
  isRequest,
  onStreamUrl,
  sameEndpoint,
  toAll,
} from "./spoils.ts";

const STREAM: Fault[] = [
  {
    says: "calls its stream plain text",
    spoil: { head: { "content-type": "text/plain" } },
    noticed: ["stream-opens"],
  },
  {
    says: "lets caches keep the stream",
    spoil: { head: { "cache-control": "max-age=60" } },
    noticed: ["stream-not-cached"],
  },
  {
    says: "says that the stream is compressed",
    spoil: { head: { "content-encoding": "gzip" } },
    noticed: ["stream-unbounded"],
  },
  {
    says: "speaks before it names the endpoint",
    spoil: {
      written: (text) =>
        text.startsWith("event: endpoint") ? `event: message\ndata: {}\n\n${text}` : text,
    },
    noticed: ["endpoint-first"],
  },
  {
    says: "names an endpoint on another origin",
    spoil: { written: (text) => text.replace("data: /", "data: http://127.0.0.1:9/") },
    noticed: ["endpoint-same-origin"],
  },
  {
    says: "names an endpoint with a fragment",
    spoil: { written: (text) => text.replace(/(data: \/.*)\n\n/, "$1#here\n\n") },
    noticed: ["endpoint-form"],
  },
  {
    says: "names the same endpoint to all",
    spoil: sameEndpoint(),
    noticed: ["endpoint-per-stream", "session-after-session"],
  },
  {
    says: "names the endpoint again and again",
    spoil: {
      written: (text, line) =>
        `event: endpoint\ndata: /messages?sessionId=${line.session}\n\n${text}`,
    },
    noticed: ["endpoint-once"],
  },
  {
    says: "writes fields that no event has",
    spoil: { written: (text) => `sent: now\n${text}` },
    noticed: ["stream-well-formed"],
  },
  {
    says: "writes messages that are none",
    spoil: { written: (text) => `data: hello\n\n${text}` },
    noticed: ["stream-json-rpc"],
  },
  {
    says: "writes Latin-1",
    spoil: { written: (text) => Buffer.from(text, "latin1") },
    noticed: ["post-unicode", "post-split", "sampling"],
  },
  { says: "ends silent streams", spoil: endsAfter(300), noticed: ["stream-stays"] },
];

const POSTS: Fault[] = [
  {
    says: "fails at pings and answers",
    spoil: answersWith(500, (body) => /"ping"|"result"/.test(body)),
    noticed: ["post-accepted", "response-unexpected"],
  },
  {
    says: "answers in the answer to the POST",
    spoil: {
      asked: (_req, body) => {
        const { id, method } = JSON.parse(Buffer.concat(body).toString()) as Message;
        if (method !== "ping") return "pass";
        return { status: 200, body: JSON.stringify({ jsonrpc: "2.0", id, result: {} }) };
      },
    },
    noticed: ["answer-on-stream", "ping", "ping-before-initialized", "initialized", "id-many"],
  },
  {
    says: "takes one spelling of the content type",
    spoil: {
      asked: (req) =>
        /charset/.test(req.headers["content-type"] ?? "") ? { status: 415 } : "pass",
    },
    noticed: ["post-content-type-parameter"],
  },
  {
    says: "takes messages of one line",
    spoil: answersWith(400, (body) => /[\r\n]/.test(body)),
    noticed: ["post-line-breaks"],
  },
  {
    says: "takes small messages",
    spoil: answersWith(413, (body) => body.length > 2 ** 16),
    noticed: ["post-large"],
  },
  {
    says: "accepts whatever it cannot read",
    spoil: answersWith(202, (body) => !body.includes('"jsonrpc"') || !body.endsWith("}")),
    noticed: ["post-not-json", "post-empty", "post-not-json-rpc"],
  },
  {
    says: "wants clients of the SSE URL to authenticate",
    spoil: onStreamUrl("POST", 401),
    noticed: ["stream-url-post"],
  },
  { says: "fails at HEAD", spoil: onStreamUrl("HEAD", 500), noticed: ["stream-url-head"] },
  { says: "says yes to DELETE", spoil: onStreamUrl("DELETE", 200), noticed: ["stream-url-delete"] },
];

const STRANGERS = ["session-unknown", "session-unnamed", "session-ends-with-stream"];

const SESSIONS: Fault[] = [
  {
    says: "accepts messages of sessions that it does not know",
    spoil: { asked: (_req, _body, line) => (line ? "pass" : { status: 202 }) },
    noticed: STRANGERS,
  },
  {
    says: "leaves strangers without an answer",
    spoil: { asked: (_req, _body, line) => (line ? "pass" : "silence") },
    noticed: STRANGERS,
  },
  { says: "answers everybody", spoil: toAll(isAnswer), noticed: ["sessions-apart"] },
  {
    says: "notifies everybody",
    spoil: toAll(isNotification),
    noticed: ["sessions-progress-apart", "logging-apart", "resources-updated-apart"],
  },
  {
    says: "asks the client that came last",
    spoil: {
      down: (message, _line, all) => {
        if (!isRequest(message)) return [message];
        all.at(-1)?.say(message);
        return [];
      },
    },
    noticed: ["sampling-apart"],
  },
  {
    says: "ends all sessions with the first that ends",
    spoil: { left: (all) => all.forEach((line) => line.end()) },
    noticed: ["session-outlives-neighbour"],
  },
  {
    says: "is another server for every session",
    spoil: {
      down: (message, line) =>
        message.result?.["serverInfo"] === undefined
          ? [message]
          : [{ ...message, result: { ...message.result, serverInfo: { name: line.session } } }],
    },
    noticed: ["initialize", "initialize-twice-elsewhere"],
  },
];

export const TRANSPORT_FAULTS: readonly Fault[] = [...STREAM, ...POSTS, ...SESSIONS];
