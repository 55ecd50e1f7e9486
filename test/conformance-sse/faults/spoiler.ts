import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Message } from "../session.ts";

/** A client's open stream. */
export interface Line {
  session: string;
  write: (text: string | Buffer) => void;
  /** Puts a message on it. */
  say: (message: Message) => void;
  /** Posts a message to the server in its client's name. */
  ask: (message: Message) => void;
  end: () => void;
}

export interface Reply {
  status: number;
  body?: string;
}

/** What is done wrong on the way; everything else passes as it is. */
export interface Spoil {
  /** Headers of the stream, over those of the server. */
  head?: Record<string, string>;
  /** An event on its way to the client, as it will be written. */
  written?: (text: string, line: Line) => string | Buffer;
  /** A message on its way to the client; gives what arrives. */
  down?: (message: Message, line: Line, all: readonly Line[]) => Message[];
  /** A message on its way to the server; gives what arrives. */
  up?: (message: Message, line: Line, all: readonly Line[]) => Message[];
  /** Any request but that for the stream. Answers it, leaves it without an answer, or lets it pass. */
  asked?: (
    req: IncomingMessage,
    body: Buffer[],
    line: Line | undefined,
  ) => Reply | "silence" | "pass";
  /** A client has left. */
  left?: (all: readonly Line[]) => void;
}

export interface Spoiler {
  url: URL;
  close: () => void;
}

const JSON_TYPE = "application/json";
const eventOf = (message: Message) => `event: message\ndata: ${JSON.stringify(message)}\n\n`;

async function readAll(req: IncomingMessage): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  return chunks;
}

function messageIn(body: string): Message | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null && "jsonrpc" in value ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Opens a server that is the one at `target`, spoilt. */
export async function openSpoiler(target: URL, spoil: Spoil): Promise<Spoiler> {
  const lines = new Map<string, Line>();
  const all = () => [...lines.values()];

  function passEvent(text: string, line: Line): void {
    const write = (event: string) => line.write(spoil.written?.(event, line) ?? event);
    const message = /^event: message\ndata: (.*)\n\n$/.exec(text)?.[1];
    if (message === undefined || !spoil.down) return write(text);
    for (const spoilt of spoil.down(JSON.parse(message) as Message, line, all()))
      write(eventOf(spoilt));
    return undefined;
  }

  function openStream(res: ServerResponse): void {
    const upstream = request(target, (stream) => {
      res.writeHead(stream.statusCode ?? 0, { ...stream.headers, ...spoil.head });
      let text = "";
      let line: Line | undefined;
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
          const event = text.slice(0, end + 2);
          text = text.slice(end + 2);
          line ??= lineFor(res, /sessionId=(\S+)/.exec(event)?.[1] ?? "");
          passEvent(event, line);
        }
      });
      stream.on("error", () => {}).once("close", () => res.destroy());
    });
    upstream.on("error", () => res.destroy()).end();
    res.once("close", () => upstream.destroy());
  }

  function lineFor(res: ServerResponse, session: string): Line {
    const line: Line = {
      session,
      write: (text) => void res.write(text),
      say: (message) => void res.write(eventOf(message)),
      ask: (message) => void pass(`/messages?sessionId=${session}`, JSON.stringify(message)),
      end: () => void res.destroy(),
    };
    lines.set(session, line);
    res.once("close", () => {
      lines.delete(session);
      spoil.left?.(all());
    });
    return line;
  }

  async function pass(
    path: string,
    body: Buffer | string,
    method = "POST",
    type = JSON_TYPE,
  ): Promise<Reply> {
    return await new Promise((resolve) => {
      const headers = { "content-type": type, "content-length": Buffer.byteLength(body) };
      const onward = request(new URL(path, target), { method, headers }, (taken) => {
        taken.resume().once("end", () => resolve({ status: taken.statusCode ?? 0 }));
      });
      onward.on("error", () => resolve({ status: 502 })).end(body);
    });
  }

  async function answer(req: IncomingMessage): Promise<Reply | "silence"> {
    const body = await readAll(req);
    const line = lines.get(/sessionId=([^&]+)/.exec(req.url ?? "")?.[1] ?? "");
    const reply = spoil.asked?.(req, body, line) ?? "pass";
    if (reply !== "pass") return reply;
    const whole = Buffer.concat(body);
    const message = messageIn(whole.toString());
    const path = req.url ?? "/";
    if (!spoil.up || !line || !message)
      return await pass(path, whole, req.method, req.headers["content-type"]);
    let last: Reply = { status: 202 };
    for (const spoilt of spoil.up(message, line, all()))
      last = await pass(path, JSON.stringify(spoilt));
    return last;
  }

  const server = createServer((req, res) => {
    if (req.method === "GET") return openStream(res);
    void answer(req).then((reply) => {
      if (reply !== "silence") res.writeHead(reply.status).end(reply.body);
    });
    return undefined;
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(target.pathname, `http://127.0.0.1:${port}`),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
