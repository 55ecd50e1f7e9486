import { isDeepStrictEqual } from "node:util";
import { closeServer, createHttpServer, listen } from "../../src/http/listen.ts";
import type { HttpRequest, HttpResponse } from "../../src/http/exchange.ts";
import { pick, randomFrom } from "../torture/random.ts";
import { messagesOf } from "./grammar.ts";
import { Wire, sendPieces } from "./wire.ts";

/** A message as its reader understood it. */
interface Understood {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly rawHeaders: readonly string[];
  readonly headers: object;
  readonly body: string;
}

/** What came of all connections of a run. */
export interface Figures {
  readonly connections: number;
  /** Messages that the own reader took, and those that Node's server read in its place. */
  readonly own: number;
  readonly nodes: number;
  /** Connections of which both understood something else. */
  readonly differing: readonly string[];
}

export interface RunOptions {
  readonly seed: number;
  readonly connections: number;
  readonly onProgress?: (words: string) => void;
}

/** Messages of one connection. */
const COUNTS = [1, 1, 2, 5];
/** Cuts within what is sent. */
const CUTS = [0, 0, 0, 1, 3];
const MAX_DIFFERING = 5;
/** Connections that are open together. */
const AT_ONCE = 50;
const PROGRESS_EVERY = 50_000;

/** A server that answers each message with 200 and keeps what it understood. */
async function serverOf(reader: "own" | "node") {
  const understood = new Map<unknown, Understood[]>();
  const counts = { own: 0, nodes: 0 };
  const take = (req: HttpRequest, res: HttpResponse): void => {
    let body = "";
    req.takeBody({
      chunk: (bytes) => (body += bytes.toString("latin1")),
      end: () => {
        const { method, url, rawHeaders, headers } = req;
        const message = { method, url, rawHeaders, headers: { ...headers }, body };
        understood.get(req.socket)!.push(message);
        res.writeHead(200, { "content-length": 2 });
        res.end("ok");
      },
      gone: () => undefined,
    });
  };
  const own = {
    isHot: (_method: string, url: string) => url.startsWith("/hot"),
    handle: (req: HttpRequest, res: HttpResponse) => {
      counts.own += 1;
      take(req, res);
    },
  };
  const server = createHttpServer(
    (req, res) => {
      counts.nodes += 1;
      take(req, res);
    },
    reader === "own" ? { own } : {},
  );
  await listen(server, { host: "127.0.0.1", port: 0 });
  return {
    server,
    counts,
    understood: async (pieces: readonly Buffer[]): Promise<readonly Understood[]> => {
      const messages: Understood[] = [];
      const wire = new Wire();
      understood.set(wire, messages);
      await sendPieces(server, wire, pieces);
      understood.delete(wire);
      return messages;
    },
  };
}

/** Cut in up to three places, whole messages or not. */
function piecesOf(messages: readonly Buffer[], random: () => number): Buffer[] {
  if (messages.length > 1 && random() < 0.7)
    return messages.flatMap((message) => piecesOf([message], random));
  const bytes = Buffer.concat(messages);
  const cuts = Array.from({ length: pick(random, CUTS) }, () =>
    Math.floor(random() * bytes.length),
  ).toSorted((a, b) => a - b);
  return [...cuts, bytes.length]
    .map((cut, i) => bytes.subarray(cuts[i - 1] ?? 0, cut))
    .filter((piece) => piece.length > 0);
}

/**
 * Sends the same bytes to two servers: one whose messages Node's strict parser reads, and one with the
 * own reader before it. Both must understand the same messages, with the same targets, header lines and
 * bodies, in the same order.
 */
export async function sayRequests({ seed, connections, onProgress }: RunOptions): Promise<Figures> {
  const random = randomFrom(seed);
  const [node, own] = [await serverOf("node"), await serverOf("own")];
  const differing: string[] = [];
  try {
    const compare = async (): Promise<void> => {
      const sent = messagesOf(random, pick(random, COUNTS));
      const pieces = piecesOf(sent, random);
      const [expected, found] = await Promise.all([
        node.understood(pieces),
        own.understood(pieces),
      ]);
      if (isDeepStrictEqual(found, expected)) return;
      const all = {
        sent: pieces.map((piece) => piece.toString("latin1")),
        node: expected,
        own: found,
      };
      differing.push(JSON.stringify(all));
    };
    for (let i = 0; i < connections && differing.length < MAX_DIFFERING; i += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, compare));
      if (i > 0 && i % PROGRESS_EVERY === 0) onProgress?.(`${i} of ${connections} connections`);
    }
  } finally {
    await Promise.all([closeServer(node.server), closeServer(own.server)]);
  }
  return { connections, own: own.counts.own, nodes: own.counts.nodes, differing };
}
