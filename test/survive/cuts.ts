import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { CuttingProxy } from "../helpers/cutting-proxy.ts";
import type { Cut } from "../helpers/cutting-proxy.ts";
import { bearer, json } from "../helpers/fixtures.ts";
import { until } from "../helpers/until.ts";
import { WAYS, nameOf, planOf } from "./kills.ts";
import type { Way } from "./kills.ts";
import { Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";
import { Sheet, atMost } from "./sheet.ts";

const CUTS: readonly Cut[] = ["reset", "end", "stall"];
const BOTH = "application/json, text/event-stream";
const AT_A_TIME = 10;
/** Each call tells of so many steps before its answer. */
const STEPS = 5;
const STEP_MS = 50;
const PATIENCE_MS = 30_000;

export interface Cutting {
  cuts: number;
  calls: number;
}

interface Said {
  id?: number;
  result?: unknown;
  error?: { message: string };
  method?: string;
  params?: { progressToken?: number; progress?: number };
}

/** Line 12: a client that is cut off again and again, and comes back with what it has heard last. */
export async function cutUnderCalls(
  start: StartGateway,
  cutting: Cutting,
  ways: readonly Way[] = WAYS,
): Promise<Sheet> {
  const sheet = new Sheet();
  const rig = await Rig.open(start, planOf(ways));
  try {
    await atMost(2, ways, (way) =>
      sheet.look(nameOf(way), () => cutUnderClient(rig, way, cutting, sheet)),
    );
  } finally {
    await rig.close();
  }
  return sheet;
}

async function cutUnderClient(rig: Rig, way: Way, cutting: Cutting, sheet: Sheet): Promise<void> {
  const { cuts, calls } = cutting;
  const proxy = await CuttingProxy.open(Number(new URL(rig.gateway.origin).port));
  // With one key, and the same ids at the same time.
  const clients = [1, 2].map((nth) => new Comer(proxy, rig, way, { nth, cuts }));
  try {
    const ids = Array.from({ length: calls }, (_, i) => i + 1);
    const wrong: string[] = [];
    await Promise.all(
      clients.map(async (client) => {
        await client.begin();
        await atMost(AT_A_TIME, ids, (id) => client.call(id));
        wrong.push(...ids.flatMap((id) => client.faultOf(id) ?? []));
      }),
    );
    const done = Math.min(...clients.map((client) => client.cuts));
    sheet.note(`${nameOf(way)}: cuts of each client`, `${cuts}`, done, done >= cuts);
    sheet.note(
      `${nameOf(way)}: ${calls} calls of ${STEPS} notifications, each once and in order`,
      "none wrong",
      wrong.length === 0 ? "none wrong" : `${wrong.length}: ${wrong[0]}`,
    );
  } finally {
    for (const client of clients) client.close();
    proxy.close();
  }
}

/** A client on bare HTTP, which reads events and comes back for those that it has lost. */
class Comer {
  cuts = 0;
  readonly #proxy: CuttingProxy;
  readonly #way: Way;
  readonly #wanted: number;
  /** Tells its calls from those of others. */
  readonly #first: number;
  readonly #path: string;
  readonly #port: number;
  readonly #headers: string[];
  readonly #said: Said[] = [];
  readonly #open = new Set<IncomingMessage>();
  #isClosed = false;
  #endpoint: string | undefined;
  #eventsToCut = 3;

  constructor(
    proxy: CuttingProxy,
    rig: Rig,
    way: Way,
    { nth, cuts }: { nth: number; cuts: number },
  ) {
    this.#proxy = proxy;
    this.#way = way;
    this.#wanted = cuts;
    this.#first = nth * 1_000;
    this.#port = Number(new URL(rig.gateway.origin).port);
    this.#path = `/u/alice/${way.server}/${way.front}`;
    this.#headers = [...bearer(rig.secrets.get("alice")!), ...json];
  }

  async begin(): Promise<void> {
    if (this.#way.front === "sse") {
      void this.#listen();
      await until(() => this.#endpoint, "its endpoint is there");
    }
    const hello = {
      protocolVersion: "2025-11-25",
      capabilities: {},
      clientInfo: { name: "comer", version: "1" },
    };
    await this.#ask(0, "initialize", hello);
    await this.#post({ method: "notifications/initialized" });
  }

  async call(id: number): Promise<void> {
    const args = { ms: STEPS * STEP_MS, n: this.#first + id };
    await this.#ask(id, "tools/call", {
      name: "read",
      arguments: args,
      _meta: { progressToken: id },
    });
  }

  /** What is wrong with what was heard of that call. */
  faultOf(id: number): string | undefined {
    const heard = this.#said.flatMap((said) => {
      const own = `\\"n\\":${this.#first + id}}`;
      if (said.id === id)
        return [JSON.stringify(said).includes(own) ? "answer" : JSON.stringify(said)];
      return said.params?.progressToken === id ? [`${said.params.progress}`] : [];
    });
    const wanted = [...Array.from({ length: STEPS }, (_, i) => `${i + 1}`), "answer"];
    return heard.join() === wanted.join() ? undefined : `call ${id}: ${heard.join()}`;
  }

  close(): void {
    this.#isClosed = true;
    for (const res of this.#open) res.destroy();
  }

  async #ask(id: number, method: string, params: object): Promise<void> {
    const answered = (): boolean => this.#said.some((said) => said.id === id);
    const posted = this.#post({ id, method, params });
    if (this.#way.front === "sse") await posted;
    else await this.#readOn(await posted, answered);
    await until(answered, `call ${id} is answered`, PATIENCE_MS);
  }

  /** The stream of HTTP with SSE, for as long as the client is there. */
  async #listen(): Promise<void> {
    await this.#readOn(await this.#get(undefined), () => this.#isClosed);
  }

  /** Reads a stream, and comes back for the rest of it until that is over. */
  async #readOn(first: IncomingMessage, isOver: () => boolean): Promise<void> {
    let last: string | undefined;
    for (let res = first; ; res = await this.#get(last)) {
      if (res.statusCode !== 200) throw new Error(`${res.statusCode} behind ${last}`);
      last = (await this.#read(res)) ?? last;
      if (isOver()) return;
      await delay(20 * Math.random());
    }
  }

  /** Resolves with the last id, when the connection has ended, however. */
  async #read(res: IncomingMessage): Promise<string | undefined> {
    this.#open.add(res);
    const isStream = res.headers["content-type"]?.startsWith("text/event-stream") === true;
    let [text, last]: [string, string | undefined] = ["", undefined];
    res.setEncoding("utf8").on("error", () => {});
    res.on("data", (more: string) => {
      text += more;
      if (!isStream) return;
      const events = text.split("\n\n");
      text = events.pop()!;
      for (const event of events) {
        last = /^id: (.*)$/m.exec(event)?.[1] ?? last;
        this.#hear(event);
        if (last !== undefined) this.#mayCut(res);
      }
    });
    await new Promise((resolve) => res.once("close", resolve));
    this.#open.delete(res);
    if (!isStream && text !== "") this.#said.push(JSON.parse(text) as Said);
    return last;
  }

  #hear(event: string): void {
    const data = /^data: (.*)$/m.exec(event)?.[1] ?? "";
    if (/^event: endpoint$/m.test(event)) this.#endpoint = data;
    else if (data !== "") this.#said.push(JSON.parse(data) as Said);
  }

  #mayCut(res: IncomingMessage): void {
    if (this.cuts >= this.#wanted || this.#eventsToCut-- > 0) return;
    this.#eventsToCut = Math.floor(10 * Math.random());
    this.#proxy.cut(res.socket.localPort!, CUTS[this.cuts % CUTS.length]!);
    this.cuts += 1;
  }

  async #get(last: string | undefined): Promise<IncomingMessage> {
    const resume = last === undefined ? [] : ["last-event-id", last];
    return await this.#send("GET", this.#proxy.port, this.#path, resume);
  }

  /** Over SSE the answer to the POST is none to what it asks, and no stream that could be lost. */
  async #post(message: Said & { params?: object }): Promise<IncomingMessage> {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    const port = this.#way.front === "sse" ? this.#port : this.#proxy.port;
    const res = await this.#send("POST", port, this.#endpoint ?? this.#path, [], body);
    const id = res.headers["mcp-session-id"];
    if (typeof id === "string" && !this.#headers.includes(id))
      this.#headers.push("mcp-session-id", id);
    if (this.#way.front === "sse" || message.id === undefined) res.resume();
    return res;
  }

  #send(
    method: string,
    port: number,
    path: string,
    more: readonly string[],
    body?: string,
  ): Promise<IncomingMessage> {
    const host = ["host", `127.0.0.1:${this.#port}`];
    const accept = ["accept", method === "GET" ? "text/event-stream" : BOTH];
    const length = body === undefined ? [] : ["content-length", `${Buffer.byteLength(body)}`];
    const headers = [...host, ...this.#headers, ...accept, ...more, ...length];
    const options = { host: "127.0.0.1", port, method, path, headers, agent: false };
    return new Promise((resolve, reject) => {
      request(options, resolve).on("error", reject).end(body);
    });
  }
}
