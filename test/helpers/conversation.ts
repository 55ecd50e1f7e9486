import assert from "node:assert/strict";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { EventParser } from "../conformance-sse/event-parser.ts";
import { until } from "./until.ts";

export interface Rpc {
  id?: unknown;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { code: number; message: string; data?: { type?: string; mayHaveHappened?: boolean } };
}

/** The answer to a request, wherever it came. */
export interface Outcome extends Rpc {
  /** Of the POST. */
  status: number;
  /** From the POST to the answer. */
  ms: number;
}

export interface Place {
  origin: string;
  user: string;
  secret: string;
  server: string;
  front: "sse" | "mcp";
  /** Of Streamable HTTP: no stream beside the POSTs. */
  isWithoutStream?: boolean;
  /** What its POSTs accept; both kinds of answer where nothing is said. */
  accept?: string;
  /** The revision that it asks for. */
  version?: string;
}

export interface Posted {
  status: number;
  /** The body of what is no event stream. */
  body: string;
  sessionId: string | undefined;
  /** Resolves when the answer to the POST has ended; fails when it does not. */
  over: () => Promise<void>;
}

const PATIENCE_MS = 30_000;
const LONGEST_TEXT = 65_536;
const BOTH = "application/json, text/event-stream";

/**
 * One session over either front, on bare HTTP: what is sent is written by the test, what comes is
 * kept as it came, in order, and nothing is answered by itself.
 */
export class Conversation {
  readonly received: Rpc[] = [];
  /** The shorter ones of them, byte for byte. */
  readonly texts: string[] = [];
  /** The names that the session was given: its endpoint over SSE, else its session id. */
  readonly names = new Set<string>();
  /** From its `initialize` to the answer. */
  helloMs = 0;
  readonly #place: Place;
  readonly #closers: (() => void)[] = [];
  #endpoint: string;
  #sessionId: string | undefined;
  #streams = 0;
  readonly #waits = new Set<{
    isIt: (message: Rpc) => boolean;
    resolve: (message: Rpc) => void;
    reject: (error: Error) => void;
    timer: NodeJS.Timeout;
  }>();

  private constructor(place: Place) {
    this.#place = place;
    this.#endpoint = `/u/${place.user}/${place.server}/mcp`;
  }

  /** Opens the session's stream (of Streamable HTTP too) and says hello. */
  static async open(place: Place, capabilities: object = {}): Promise<Conversation> {
    const opened = new Conversation(place);
    if (place.front === "sse") await opened.#listen(`/u/${place.user}/${place.server}/sse`);
    const params = {
      protocolVersion: place.version ?? "2025-03-26",
      capabilities,
      clientInfo: { name: "test", version: "1" },
    };
    const begun = performance.now();
    await opened.request("hello", "initialize", params);
    opened.helloMs = performance.now() - begun;
    await opened.send({ method: "notifications/initialized" });
    if (place.front === "mcp" && !place.isWithoutStream) await opened.listen();
    return opened;
  }

  /** Opens a stream of its own for a session of Streamable HTTP. */
  async listen(): Promise<void> {
    await this.#listen(this.#endpoint);
  }

  /** The stream that it listens on is open. */
  get isListening(): boolean {
    return this.#streams > 0;
  }

  /** Posts a body as it is. */
  async post(body: string, method: "POST" | "DELETE" = "POST"): Promise<Posted> {
    const res = await this.#ask(method, this.#endpoint, body);
    const text: string[] = [];
    const isStream = (res.headers["content-type"] ?? "").startsWith("text/event-stream");
    let isOver = false;
    const reading = (isStream ? this.#read(res) : keep(res, text)).then(() => (isOver = true));
    const sessionId = res.headers["mcp-session-id"];
    const posted = { status: res.statusCode ?? 0, body: "" };
    if (!isStream) await reading;
    posted.body = text.join("");
    if (this.#place.front === "mcp" && res.statusCode === 200 && posted.body !== "")
      this.#take(posted.body);
    if (typeof sessionId === "string") {
      this.#sessionId ??= sessionId;
      this.names.add(sessionId);
    }
    const over = async () =>
      void (await until(() => isOver, "the answer to the POST has ended", PATIENCE_MS));
    return { ...posted, over, sessionId: this.#sessionId };
  }

  /** Posts one message; fails unless it is taken. */
  async send(message: Rpc): Promise<Posted> {
    const posted = await this.post(JSON.stringify({ jsonrpc: "2.0", ...message }));
    assert.ok(
      posted.status < 300,
      `${message.method} was answered with ${posted.status} ${posted.body}`,
    );
    return posted;
  }

  /** Sends a request and resolves with its answer, error or not. */
  async request(id: string | number, method: string, params: object = {}): Promise<Rpc> {
    await this.send({ id, method, params: { ...params } });
    return await this.answerTo(id);
  }

  /** Sends a request and resolves with its answer, whatever that is and wherever it comes. */
  async ask(id: string | number, method: string, params: object = {}): Promise<Outcome> {
    const begun = performance.now();
    const text = JSON.stringify({ jsonrpc: "2.0", id, method, params });
    const { status, body, over } = await this.post(text);
    const answer = status < 300 ? await this.#answerOrEnd(id, over) : readError(body);
    return { ...answer, status, ms: performance.now() - begun };
  }

  /** The answer, unless the place for it has ended without one. */
  async #answerOrEnd(id: string | number, over: Posted["over"]): Promise<Rpc> {
    const answer = this.answerTo(id);
    if (this.#place.front === "sse") return await answer;
    const ended = async (): Promise<Rpc> => {
      await over();
      const isThere = this.received.some((message) => message.id === id && !message.method);
      if (!isThere) throw new Error(`the answer to the POST of request ${id} ended without it`);
      return await answer;
    };
    return await Promise.race([answer, ended()]);
  }

  async call(id: string | number, name: string, args: object = {}): Promise<string> {
    const { result, error } = await this.request(id, "tools/call", { name, arguments: args });
    assert.ok(result, JSON.stringify(error));
    return (result["content"] as { text: string }[])[0]!.text;
  }

  async answerTo(id: string | number): Promise<Rpc> {
    const isAnswer = (message: Rpc) => message.method === undefined && message.id === id;
    return await this.#first(isAnswer, `request ${id} is answered`);
  }

  async heard(method: string): Promise<Rpc> {
    return await this.#first((message) => message.method === method, `${method} has come`);
  }

  /** The first message that is it, of those that came or at the moment it comes: some tests measure that. */
  async #first(isIt: (message: Rpc) => boolean, what: string): Promise<Rpc> {
    const there = this.received.find(isIt);
    if (there !== undefined) return there;
    return await new Promise((resolve, reject) => {
      const inVain = () => reject(new Error(`waited ${PATIENCE_MS} ms in vain until ${what}`));
      const wait = { isIt, resolve, reject, timer: setTimeout(inVain, PATIENCE_MS) };
      this.#waits.add(wait);
    });
  }

  methods(): string[] {
    return this.received.flatMap(({ method }) => method ?? []);
  }

  /** Ends the session as its front has it: the stream closes, or a DELETE. Resolves with the status of the latter. */
  async end(): Promise<number | undefined> {
    const status = this.#place.front === "mcp" ? (await this.post("", "DELETE")).status : undefined;
    this.close();
    return status;
  }

  close(): void {
    for (const { timer } of this.#waits) clearTimeout(timer);
    for (const close of this.#closers) close();
  }

  async #listen(path: string): Promise<void> {
    const res = await this.#ask("GET", path, "");
    // A Streamable HTTP server may have no stream of its own.
    if (res.statusCode !== 200) return void res.resume();
    this.#streams += 1;
    void this.#read(res).then(() => {
      this.#streams -= 1;
      if (this.#place.front === "mcp") return;
      for (const { reject, timer } of this.#waits) {
        clearTimeout(timer);
        reject(new Error("the stream has ended"));
      }
      this.#waits.clear();
    });
    if (this.#place.front === "sse")
      await until(() => this.#endpoint.includes("session_id="), "the endpoint has come");
  }

  async #ask(method: string, path: string, body: string): Promise<IncomingMessage> {
    return await new Promise((resolve, reject) => {
      const req = request(new URL(path, this.#place.origin), {
        method,
        agent: false,
        headers: {
          authorization: `Bearer ${this.#place.secret}`,
          accept: method === "GET" ? "text/event-stream" : (this.#place.accept ?? BOTH),
          ...(method === "POST" ? { "content-type": "application/json" } : {}),
          ...(this.#sessionId === undefined ? {} : { "mcp-session-id": this.#sessionId }),
        },
      });
      req.once("response", resolve).on("error", reject).end(body);
      this.#closers.push(() => req.destroy());
    });
  }

  async #read(res: IncomingMessage): Promise<void> {
    const parser = new EventParser((event) => {
      if (!("name" in event) || event.data === "") return;
      if (event.name === "endpoint") this.names.add((this.#endpoint = event.data));
      else this.#take(event.data);
    });
    await new Promise<void>((over) => {
      res.on("data", (chunk: Buffer) => parser.push(chunk)).on("error", () => {});
      res.once("close", over);
    });
  }

  #take(text: string): void {
    if (text.length <= LONGEST_TEXT) this.texts.push(text);
    for (const message of ([JSON.parse(text)] as (Rpc | Rpc[])[]).flat()) {
      this.received.push(message);
      for (const wait of this.#waits) {
        if (!wait.isIt(message)) continue;
        this.#waits.delete(wait);
        clearTimeout(wait.timer);
        wait.resolve(message);
      }
    }
  }
}

/** The body of a refusal: ours are JSON, a server's own may be any text. */
function readError(body: string): Rpc {
  try {
    return JSON.parse(body) as Rpc;
  } catch {
    return { error: { code: 0, message: body } };
  }
}

async function keep(res: IncomingMessage, text: string[]): Promise<void> {
  for await (const chunk of res.setEncoding("utf8")) text.push(String(chunk));
}
