import { Mailbox } from "./mailbox.ts";
import { ask, EventStream, type Reply, type Target } from "./wire.ts";

export type Params = Record<string, unknown>;
export type Id = string | number;

export interface Message {
  jsonrpc?: unknown;
  id?: Id | null;
  method?: string;
  params?: Params;
  result?: Params;
  error?: { code: number; message: string; data?: unknown };
}

/** A message and the text it was read from. */
export interface Letter {
  message: Message;
  text: string;
}

/** An answer with an error in it, from either side. */
export class RpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** What the client answers to requests of the server: a result, or an RpcError thrown. */
export type Answers = Record<string, (params: Params) => Params>;

export interface Hello {
  version?: string;
  capabilities?: Params;
  answers?: Answers;
}

export const isAnswerTo =
  (id: Id | null) =>
  ({ message }: Letter): boolean =>
    message.method === undefined && message.id === id;

/** One session: a stream and the endpoint that it named. Closed with the check that opened it. */
export class Session {
  readonly stream: EventStream;
  readonly endpoint: URL;
  readonly inbox = new Mailbox<Letter>();
  /** Statuses with which the server took the client's answers to its requests. */
  readonly answered: number[] = [];
  answers: Answers = {};
  readonly #target: Target;
  #lastId = 0;

  constructor(target: Target, stream: EventStream, endpoint: URL) {
    this.#target = target;
    this.stream = stream;
    this.endpoint = endpoint;
  }

  /** Opens a stream and waits for its endpoint. */
  static async open(target: Target): Promise<Session> {
    const stream = await EventStream.open(target);
    try {
      if (stream.status !== 200) throw new Error(`the stream was answered with ${stream.status}`);
      const { data } = await stream.events.first(
        ({ name }) => name === "endpoint",
        "endpoint event",
        target.timeoutMs,
      );
      const session = new Session(target, stream, new URL(data, target.url));
      session.#read();
      return session;
    } catch (error) {
      stream.close();
      throw error;
    }
  }

  /** `initialize` and `initialized`; resolves with what the server said of itself. */
  async shakeHands(hello: Hello = {}): Promise<Params> {
    const result = await this.initialize(hello);
    await this.notify("notifications/initialized");
    return result;
  }

  async initialize({
    version = "2024-11-05",
    capabilities = {},
    answers = {},
  }: Hello = {}): Promise<Params> {
    this.answers = answers;
    return await this.result("initialize", {
      protocolVersion: version,
      capabilities,
      clientInfo: { name: "conformance-sse", version: "1.0.0" },
    });
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** Posts a body as it is. */
  async post(body: string | Buffer[], headers: Record<string, string> = {}): Promise<Reply> {
    return await ask(this.#target, this.endpoint, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });
  }

  /** Posts a message. Rejects unless the server takes it. */
  async send(message: Message): Promise<Reply> {
    const reply = await this.post(JSON.stringify({ jsonrpc: "2.0", ...message }));
    if (reply.status >= 200 && reply.status < 300) return reply;
    const what = message.method ?? "an answer";
    throw new Error(`the POST of ${what} was answered with ${reply.status} ${reply.body}`);
  }

  async notify(method: string, params?: Params): Promise<void> {
    await this.send({ method, params });
  }

  /** Posts a request and resolves with the letter that answers it. */
  async request(method: string, params: Params = {}, id: Id = this.nextId()): Promise<Letter> {
    await this.send({ id, method, params });
    return await this.answer(id, method);
  }

  async answer(id: Id, method: string): Promise<Letter> {
    const what = `answer to ${method} with id ${JSON.stringify(id)}`;
    return await this.inbox.first(isAnswerTo(id), what, this.#target.timeoutMs);
  }

  /** The result of a request; an error in the answer is thrown. */
  async result(method: string, params: Params = {}): Promise<Params> {
    const { message } = await this.request(method, params);
    if (message.error)
      throw new RpcError(message.error.code, `${method}: ${message.error.message}`);
    if (message.result === undefined) throw new Error(`${method}: neither result nor error`);
    return message.result;
  }

  /** The error of a request; a result is a failure. */
  async refusal(method: string, params: Params = {}): Promise<{ code: number; message: string }> {
    const { message } = await this.request(method, params);
    if (!message.error) throw new Error(`${method} was answered with a result`);
    return message.error;
  }

  /** Resolves once everything that the server sent before this call has arrived: its answer to a ping has. */
  async settle(): Promise<void> {
    await this.result("ping");
  }

  /** Resolves with the parameters of the first such notification that `matches`. */
  async notification(
    method: string,
    matches: (params: Params) => boolean = () => true,
  ): Promise<Params> {
    const { message } = await this.inbox.first(
      (letter) => isNotification(method)(letter) && matches(letter.message.params ?? {}),
      method,
      this.#target.timeoutMs,
    );
    return message.params ?? {};
  }

  notifications(method: string): Params[] {
    return this.inbox.items
      .filter(isNotification(method))
      .map(({ message }) => message.params ?? {});
  }

  requests(method: string): Message[] {
    return this.inbox.items
      .map(({ message }) => message)
      .filter((message) => message.method === method && message.id !== undefined);
  }

  close(): void {
    this.stream.close();
    this.inbox.end("the session was closed here");
  }

  #read(): void {
    const take = (text: string) => {
      const message = parse(text);
      this.inbox.push({ message, text });
      const isRequest = message.method !== undefined && (message.id ?? null) !== null;
      if (isRequest) void this.#reply(message);
    };
    this.stream.events.each(
      ({ name, data }) => {
        if (name === "message") take(data);
      },
      (why) => this.inbox.end(why),
    );
  }

  async #reply({ id, method = "", params = {} }: Message): Promise<void> {
    const answer = this.answers[method] ?? (method === "ping" ? () => ({}) : undefined);
    let reply: Message;
    try {
      if (!answer) throw new RpcError(-32_601, "Method not found");
      reply = { id, result: answer(params) };
    } catch (error) {
      const { code, message } = error as RpcError;
      reply = { id, error: { code, message } };
    }
    const { status } = await this.post(JSON.stringify({ jsonrpc: "2.0", ...reply })).catch(() => ({
      status: 0,
    }));
    this.answered.push(status);
  }
}

/** What is no message at all is kept as its text, for the check that looks at the texts. */
function parse(text: string): Message {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

const isNotification =
  (method: string) =>
  ({ message }: Letter): boolean =>
    message.method === method && message.id === undefined;
