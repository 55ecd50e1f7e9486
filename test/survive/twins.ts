import { bearer, call, initialize, json, rpc } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";
import { nameOf, planOf, waysOf } from "./kills.ts";
import type { Way } from "./kills.ts";
import { Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";
import { Sheet } from "./sheet.ts";

const UNDER_WAY_MS = 300;
const ALL = waysOf("stdio by sse", "stdio-session by sse", "sse by sse", "http by sse");

/** Line 17: two clients with one key, which are cut off at the same moment with calls of the same ids under way. */
export async function cutTwins(
  start: StartGateway,
  rounds: number,
  ways: readonly Way[] = ALL,
): Promise<Sheet> {
  const sheet = new Sheet();
  const rig = await Rig.open(start, planOf(ways));
  try {
    await Promise.all(
      ways.map((way) => sheet.look(nameOf(way), () => cutTwinsAt(rig, way, rounds, sheet))),
    );
  } finally {
    await rig.close();
  }
  return sheet;
}

async function cutTwinsAt(rig: Rig, way: Way, rounds: number, sheet: Sheet): Promise<void> {
  const twins = [new Twin(rig, way, 1_000), new Twin(rig, way, 2_000)];
  try {
    await Promise.all(twins.map((twin) => twin.begin()));
    for (let round = 1; round <= rounds; round += 1) {
      await Promise.all(twins.map((twin) => twin.callLate(round)));
      for (const twin of twins) twin.cut();
      await Promise.all(twins.map((twin) => twin.comeBack(round)));
    }
    // What was under way has an answer then, wherever that went.
    await until(async () => await isQuiet(rig, way), "the server has answered all of it");
    const heard = twins.flatMap((twin) => twin.wrongly());
    sheet.note(
      `${nameOf(way)}: answers of another stream, of ${rounds} cuts of two clients`,
      "none",
      heard.length === 0 ? "none" : `${heard.length}: ${heard[0]}`,
    );
    const next = Math.min(...twins.map(({ answered }) => answered));
    sheet.note(`${nameOf(way)}: next calls of each that were answered`, rounds, next);
  } finally {
    for (const twin of twins) twin.cut();
  }
}

async function isQuiet(rig: Rig, { server }: Way): Promise<boolean> {
  return (await rig.rows(server)).every(({ inFlight }) => inFlight === 0);
}

/** A client over HTTP with SSE that opens another stream without a word of the last one, as those of the SDKs do. */
class Twin {
  answered = 0;
  readonly #rig: Rig;
  readonly #way: Way;
  /** Tells its calls from those of the other. */
  readonly #first: number;
  /** All that it had, and the ids that it asked by on each. */
  readonly #streams: { stream: EventStream; asked: Set<string> }[] = [];

  constructor(rig: Rig, way: Way, first: number) {
    this.#rig = rig;
    this.#way = way;
    this.#first = first;
  }

  async begin(): Promise<void> {
    await this.#open();
    await this.#post("hello", initialize("hello"));
    await until(() => this.#hasAnswer("hello"), "it has said hello");
    await this.#post("", JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }));
  }

  /** The other has a call of the same id under way. */
  async callLate(round: number): Promise<void> {
    const [n, id] = [this.#first + round, `late ${round}`];
    await this.#post(id, call(id, "late", { n, ms: UNDER_WAY_MS }));
    await until(() => this.#rig.notes(this.#way.server).count(n) > 0, "the server has it");
  }

  cut(): void {
    this.#streams.at(-1)?.stream.close();
  }

  async comeBack(round: number): Promise<void> {
    await this.#open();
    const id = `next ${round}`;
    await this.#post(id, rpc(id, "resources/read", { uri: `note://${this.#first}` }));
    await until(() => this.#hasAnswer(id), "its next call is answered");
    if (JSON.stringify(this.#messages()).includes(`note://${this.#first}`)) this.answered += 1;
  }

  /** What it heard that was no answer to what it had asked there. */
  wrongly(): string[] {
    return this.#streams.flatMap(({ stream, asked }) =>
      stream
        .messages()
        .filter(({ id, method }) => method === undefined && !asked.has(String(id)))
        .map((message) => JSON.stringify(message)),
    );
  }

  async #open(): Promise<void> {
    const path = `/u/alice/${this.#way.server}/sse`;
    const stream = await EventStream.open(this.#port, { path, headers: this.#auth });
    this.#streams.push({ stream, asked: new Set() });
    await until(() => stream.endpoint, "its endpoint has come");
  }

  async #post(id: string, body: string): Promise<void> {
    const { stream, asked } = this.#streams.at(-1)!;
    asked.add(id);
    const headers = [...this.#auth, ...json];
    const { status } = await ask(this.#port, {
      method: "POST",
      path: stream.endpoint!,
      headers,
      body,
    });
    if (status !== 202) throw new Error(`${id} was answered with ${status}`);
  }

  #messages(): ReturnType<EventStream["messages"]> {
    return this.#streams.at(-1)!.stream.messages();
  }

  #hasAnswer(id: string): boolean {
    return this.#messages().some((message) => message.id === id);
  }

  get #port(): number {
    return Number(new URL(this.#rig.gateway.origin).port);
  }

  get #auth(): string[] {
    return bearer(this.#rig.secrets.get("alice")!);
  }
}
