import { Agent, request } from "node:http";
import { bearer, call, fixture, initialize, json, modernCall } from "../helpers/fixtures.ts";
import { pick, randomFrom } from "../torture/random.ts";

const web = fixture("http", "says-bytes");
const plain = (web["args"] as string[]).slice(0, 2);
/** A server of each kind that says what it is told to, and one for the neighbour. */
export const MUTATIONS_CONFIG = {
  isolation: "none",
  servers: {
    web,
    events: fixture("sse", "says-bytes"),
    pipe: { ...web, type: "stdio", args: plain },
    era: { ...web, type: "stdio", args: [...plain, "--modern"] },
    calm: fixture("http", "says-bytes"),
  },
  defaultServer: "web",
};

export interface MutationsOptions {
  /** Of the gateway. */
  port: number;
  /** Access keys. */
  alice: string;
  bob: string;
  seed: number;
  /** How many mutated answers in all, as many from each kind of server. */
  answers: number;
  onProgress?: (words: string) => void;
}

export interface MutationsFigures {
  /** Mutated answers that were said: whole HTTP answers, events, lines. */
  said: Record<Kind, number>;
  /** The statuses that the mutator's own client got, and how often; 0 for none. */
  statuses: Record<string, number>;
  neighbour: { calls: number; answered: number };
}

/** Said in one call: events and lines that come one after the other. */
const BATCH = 25;
/** For answers that say that more is to come, and then say nothing. Nothing is judged by it. */
const PATIENCE_MS = 3_000;
/** For the neighbour, who waits as long as it takes on a machine that is busy. */
const LONG_MS = 60_000;
const CALLS_PER_LOOK = 20;

const rpcText = (id: unknown, more: object): string =>
  JSON.stringify({ jsonrpc: "2.0", id, ...more });
const answerTo = (id: unknown): string =>
  rpcText(id, { result: { content: [{ type: "text", text: "é" }] } });
const MESSAGES = [
  answerTo(1),
  answerTo("x"),
  rpcText(2, { error: { code: -1, message: "no" } }),
  rpcText(undefined, {
    method: "notifications/progress",
    params: { progressToken: 1, progress: 1 },
  }),
  rpcText(undefined, { method: "notifications/message", params: { level: "info", data: "x" } }),
  rpcText(undefined, { method: "notifications/cancelled", params: { requestId: 1 } }),
  rpcText(undefined, { method: "notifications/resources/updated", params: { uri: "a:b" } }),
  rpcText(undefined, {
    method: "notifications/tools/list_changed",
    params: { _meta: { "io.modelcontextprotocol/subscriptionId": 1 } },
  }),
  rpcText(7, { method: "roots/list" }),
  rpcText("p", { method: "ping" }),
  rpcText(0, { result: { protocolVersion: "2025-06-18", capabilities: {} } }),
  `[${answerTo(3)},${rpcText(8, { method: "sampling/createMessage", params: {} })}]`,
];
const HEADS = [
  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Note: a\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\nCHUNK\r\ndata: BODY\n\n\r\n0\r\nX: y\r\n\r\n",
  "HTTP/1.1 202 Accepted\r\nRetry-After: 1\r\nContent-Length: 0\r\nKeep-Alive: timeout=5\r\n\r\n",
  "HTTP/1.1 307 Temporary Redirect\r\nLocation: /mcp/\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 500 Oh\r\nConnection: keep-alive\r\nAllow: POST\r\n\r\nBODY",
  "HTTP/1.1 204 No Content\r\nMcp-Protocol-Version: 2025-06-18\r\n\r\n",
];
const SPICES = [
  "\r",
  "\n",
  "\r\n",
  "\0",
  "\x1b",
  "\x7f",
  "\xff",
  "\u2028",
  " ",
  "\t",
  ":",
  ";",
  ",",
  '"',
  "\\",
  "\\u0069",
  "{",
  "}",
  "[",
  "]",
  "data:",
  "id",
  "-1",
  "1e999",
  "99999999999999999999",
  "chunked",
  "HTTP/1.1 200 OK\r\n",
  "__proto__",
  "null",
];

/** One to four cuts, doublings, flips and insertions. */
function mutated(bytes: Buffer, random: () => number): Buffer {
  let out = bytes;
  for (let left = 1 + Math.floor(random() * 4); left > 0; left--) {
    const at = Math.floor(random() * (out.length + 1));
    const to = Math.min(out.length, at + Math.floor(random() * 12));
    const [head, middle, tail] = [out.subarray(0, at), out.subarray(at, to), out.subarray(to)];
    const kind = Math.floor(random() * 5);
    if (kind === 0) out = Buffer.concat([head, tail]);
    else if (kind === 1) out = Buffer.concat([head, middle, middle, tail]);
    else if (kind === 2)
      out = Buffer.concat([head, Buffer.from([Math.floor(random() * 256)]), tail]);
    else if (kind === 3)
      out = Buffer.concat([head, Buffer.from(pick(random, SPICES), "latin1"), middle, tail]);
    else out = out.subarray(0, Math.max(1, at));
  }
  return out;
}

const httpAnswer = (random: () => number): Buffer => {
  const body = pick(random, MESSAGES);
  const event = Buffer.byteLength(`data: ${body}\n\n`).toString(16);
  const text = pick(random, HEADS)
    .replace("LENGTH", String(Buffer.byteLength(body)))
    .replace("CHUNK", event)
    .replace("BODY", body);
  return mutated(Buffer.from(text), random);
};
const EVENT_HEADS = ["", "event: message\n", "event: endpoint\n", "id: 1\nretry: 5\n", ": hi\r\n"];
const event = (random: () => number): Buffer =>
  Buffer.concat([
    mutated(Buffer.from(`${pick(random, EVENT_HEADS)}data: ${pick(random, MESSAGES)}`), random),
    Buffer.from("\n\n"),
  ]);
const line = (random: () => number): Buffer =>
  Buffer.concat([mutated(Buffer.from(pick(random, MESSAGES)), random), Buffer.from("\n")]);

const KINDS = {
  // An answer each: as many at a time as makes up for the batches of the others.
  web: { made: httpAnswer, batch: 1, where: "answer", lanes: 6 },
  events: { made: event, batch: BATCH, where: "events", lanes: 1 },
  pipe: { made: line, batch: BATCH, where: "events", lanes: 1 },
  era: { made: line, batch: BATCH, where: "events", lanes: 1 },
} as const;
type Kind = keyof typeof KINDS;

interface Answered {
  status: number;
  session: string | undefined;
  body: string;
}

/** Lets servers of every kind say mutated answers to their own user, while another user's calls go on. */
export async function sayMutations(options: MutationsOptions): Promise<MutationsFigures> {
  const { port, alice, bob, seed, answers, onProgress } = options;
  const agent = new Agent({ keepAlive: true });
  const figures: MutationsFigures = {
    said: { web: 0, events: 0, pipe: 0, era: 0 },
    statuses: {},
    neighbour: { calls: 0, answered: 0 },
  };
  const post = (
    path: string,
    key: string,
    body: string | Buffer,
    more: readonly string[] = [],
  ): Promise<Answered> =>
    new Promise((resolve) => {
      const headers = [
        "host",
        "localhost",
        ...bearer(key),
        ...json,
        "content-length",
        String(Buffer.byteLength(body)),
      ];
      headers.push(...more);
      const req = request({ port, host: "127.0.0.1", method: "POST", path, headers, agent });
      let text = "";
      let status = 0;
      let opened: string | undefined;
      const done = (): void => resolve({ status, session: opened, body: text });
      req.setTimeout(key === bob ? LONG_MS : PATIENCE_MS, () => req.destroy());
      req.on("error", done);
      req.on("response", (res) => {
        status = res.statusCode ?? 0;
        opened = res.headers["mcp-session-id"] as string | undefined;
        res.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
        res.on("error", done).on("close", done);
      });
      req.end(body);
    });
  /** The headers of a session that has begun. */
  const open = async (path: string, key: string): Promise<string[]> => {
    const { session } = await post(path, key, initialize());
    return session === undefined ? [] : ["mcp-session-id", session];
  };

  const neighbourPath = "/u/bob/calm/mcp";
  const neighbour = await open(neighbourPath, bob);
  const look = async (): Promise<void> => {
    const id = (figures.neighbour.calls += 1);
    const { status, body } = await post(
      neighbourPath,
      bob,
      call(id, "echo", { text: "well" }),
      neighbour,
    );
    if (status === 200 && body.includes("well")) figures.neighbour.answered += 1;
  };

  const lane = async (kind: Kind, random: () => number, most: number): Promise<void> => {
    const { made, batch, where } = KINDS[kind];
    const path = `/u/alice/${kind}/mcp`;
    let session: string[] = [];
    for (let calls = 1; figures.said[kind] < most; calls++) {
      if (session.length === 0 && kind !== "era") session = await open(path, alice);
      const said = Array.from({ length: batch }, () => made(random));
      const bytes = Buffer.concat(said).toString("base64");
      const args = { bytes, where };
      const id = `${kind} ${calls}`;
      const { headers = [], body } = modernCall([], id, { name: "say", arguments: args });
      const { status } = await (kind === "era"
        ? post(path, alice, body!, headers.slice(json.length))
        : post(path, alice, call(id, "say", args), session));
      figures.said[kind] += batch;
      figures.statuses[status] = (figures.statuses[status] ?? 0) + 1;
      // A relayed session outlives what is wrong with one answer; any other is over with it.
      if (status === 404 || status === 0 || (status >= 500 && kind !== "web")) session = [];
      if (calls % CALLS_PER_LOOK === 0) await look();
      if (calls % 1000 === 0) onProgress?.(`${kind}: ${figures.said[kind]} of ${most}`);
    }
  };
  const kinds = Object.keys(KINDS) as Kind[];
  const share = Math.ceil(answers / kinds.length);
  const lanes = kinds.flatMap((kind, nth) =>
    Array.from({ length: KINDS[kind].lanes }, (_, i) =>
      lane(kind, randomFrom(seed + nth + i * kinds.length), share),
    ),
  );
  await Promise.all(lanes);
  await look();
  agent.destroy();
  return figures;
}
