import { setTimeout as delay } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { until } from "../helpers/until.ts";
import { nameOf, planOf, waysOf } from "./kills.ts";
import type { Way } from "./kills.ts";
import { Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";
import { Sheet } from "./sheet.ts";

/** Far longer than a bridge is silent before its answer becomes a stream. */
const CALL_MS = 60_000;

export interface Erring {
  errors: number;
  /** How long the client rests before it comes back; a second where nothing is said. */
  restMs?: number;
  /** For so long is looked whether it comes back once more. */
  watchMs: number;
}

/** What the client came back with, and what it was answered. */
interface CameBack {
  id: string;
  status: number | undefined;
}

/** Line 18: the client of the first TypeScript SDK comes back for what an error has ended, and for ever where it is not told that this was all. */
export async function endStreamsByErrors(start: StartGateway, erring: Erring): Promise<Sheet> {
  const sheet = new Sheet();
  const [relayed, bridged] = [waysOf("http by mcp")[0]!, waysOf("stdio by mcp")[0]!];
  const rig = await Rig.open(start, planOf([relayed, bridged]));
  const looks = [
    [relayed, (client: ErringClient) => client.askInVain()],
    [bridged, (client: ErringClient) => client.callTheDying()],
  ] as const;
  try {
    await Promise.all(
      looks.map(([way, err]) =>
        sheet.look(
          nameOf(way),
          async () => await look(new ErringClient(rig, way), err, erring, sheet),
        ),
      ),
    );
  } finally {
    await rig.close();
  }
  return sheet;
}

async function look(
  client: ErringClient,
  err: (client: ErringClient) => Promise<void>,
  { errors, restMs, watchMs }: Erring,
  sheet: Sheet,
): Promise<void> {
  await client.open(restMs);
  try {
    for (let nth = 1; nth <= errors; nth += 1) {
      await err(client);
      // Where it came back more often for one of them, it does so before it has come for the next one.
      await until(() => client.answered.length >= nth, "it came back for the answer");
    }
    await delay(watchMs);
    const of = new Set(client.answered.map(({ id }) => id)).size;
    sheet.note(
      `${client.name}: how often it comes back for ${errors} answers that are errors`,
      `${errors} times for ${errors}, 405`,
      `${client.answered.length} times for ${of}, ${[...new Set(client.answered.map(({ status }) => status))].join()}`,
    );
  } finally {
    await client.close();
  }
}

class ErringClient {
  readonly name: string;
  readonly #rig: Rig;
  readonly #way: Way;
  readonly #cameBack: CameBack[] = [];
  readonly #client = new Client({ name: "survive", version: "1" });
  #streams = 0;
  #n = 0;

  constructor(rig: Rig, way: Way) {
    this.name = `TypeScript v1 at ${nameOf(way)}`;
    this.#rig = rig;
    this.#way = way;
  }

  async open(restMs?: number): Promise<void> {
    const { gateway, secrets } = this.#rig;
    const url = new URL(`${gateway.origin}/u/alice/${this.#way.server}/mcp`);
    const headers = { authorization: `Bearer ${secrets.get("alice")}` };
    const rests = restMs && {
      initialReconnectionDelay: restMs,
      maxReconnectionDelay: restMs,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 2,
    };
    const transport = new StreamableHTTPClientTransport(url, {
      requestInit: { headers },
      fetch: (to, init) => this.#fetch(to, init),
      ...(rests && { reconnectionOptions: rests }),
    });
    await this.#client.connect(transport);
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  /** Those of its returns that were answered. */
  get answered(): CameBack[] {
    return this.#cameBack.filter(({ status }) => status !== undefined);
  }

  /** Asks for what the server does not know. */
  async askInVain(): Promise<void> {
    const ref = { type: "ref/prompt", name: "none" } as const;
    const asked = this.#client.complete({ ref, argument: { name: "a", value: "b" } });
    await isRefused(asked);
  }

  /** Calls a tool of a server that is killed once its answer has begun. */
  async callTheDying(): Promise<void> {
    const n = (this.#n += 1);
    const streams = this.#streams;
    const called = isRefused(
      this.#client.callTool({ name: "late", arguments: { n, ms: CALL_MS } }),
    );
    await until(() => this.#streams > streams, "its answer has begun");
    await this.#rig.end(this.#way.server);
    await called;
  }

  async #fetch(to: string | URL, init: RequestInit = {}): Promise<Response> {
    const id = new Headers(init.headers).get("last-event-id");
    const back: CameBack | undefined = id === null ? undefined : { id, status: undefined };
    if (back !== undefined) this.#cameBack.push(back);
    const response = await fetch(to, init);
    if (back !== undefined) back.status = response.status;
    else if (init.method === "POST" && isStream(response)) this.#streams += 1;
    return response;
  }
}

const isStream = ({ headers }: Response): boolean =>
  headers.get("content-type")?.startsWith("text/event-stream") === true;

async function isRefused(asked: Promise<unknown>): Promise<void> {
  const isAnswered = await asked.then(
    () => true,
    () => false,
  );
  if (isAnswered) throw new Error("it was answered, and not with an error");
}
