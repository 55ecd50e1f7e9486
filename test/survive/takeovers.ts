import { Client as ClientV2, SSEClientTransport as SseV2 } from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { CuttingProxy } from "../helpers/cutting-proxy.ts";
import type { Cut } from "../helpers/cutting-proxy.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { until } from "../helpers/until.ts";
import type { Gateway, StartGateway } from "./rig.ts";
import { Sheet } from "./sheet.ts";

const CUTS: readonly Cut[] = ["reset", "end", "stall"];
const INFO = { name: "survive", version: "1" };
/** Servers of the server-everything package show more tools to clients that can be asked. */
const DECLARED = {
  nothing: {},
  "what can be asked": { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} },
};
const SERVERS = {
  bridged: { command: process.execPath, args: [EVERYTHING, "stdio"] },
  relayed: {
    type: "sse",
    command: process.execPath,
    args: [EVERYTHING, "sse"],
    env: { PORT: "${port}" },
  },
};
/** A client of an SDK rests for three seconds before it opens another stream. */
const RETURN_MS = 30_000;

/** A client of either SDK, over HTTP with SSE. */
interface Connected {
  client: {
    callTool: (params: { name: string; arguments: object }) => Promise<unknown>;
    listTools: () => Promise<{ tools: readonly unknown[] }>;
    close: () => Promise<void>;
  };
  /** Where it posts; it is another one with each stream. */
  endpoint: () => string | undefined;
}

type ConnectTo = (url: URL, headers: Headers, capabilities: object) => Promise<Connected>;
type Headers = Record<string, string>;

/** Nothing public of the SDKs tells that a client has another stream. */
const endpointOf = (transport: object) => (): string | undefined =>
  (transport as Record<string, URL | undefined>)["_endpoint"]?.href;

const SDKS: Record<string, ConnectTo> = {
  v1: async (url, headers, capabilities) => {
    const client = new Client(INFO, { capabilities });
    const transport = new SSEClientTransport(url, { requestInit: { headers } });
    await client.connect(transport);
    return { client: client as Connected["client"], endpoint: endpointOf(transport) };
  },
  v2: async (url, headers, capabilities) => {
    const client = new ClientV2(INFO, { capabilities });
    const transport = new SseV2(url, { requestInit: { headers } });
    await client.connect(transport);
    return { client: client as Connected["client"], endpoint: endpointOf(transport) };
  },
};

/** Line 16: clients of the SDKs over HTTP with SSE, which come back without a word of the stream that they have lost. */
export async function cutBetweenCalls(start: StartGateway, cuts: number): Promise<Sheet> {
  const sheet = new Sheet();
  const gateway = await start({ servers: SERVERS, defaultServer: "bridged" });
  try {
    await gateway.addUser("alice", "token-of-alice");
    const all = Object.keys(SERVERS).flatMap((server) =>
      Object.entries(SDKS).flatMap(([sdk, connectTo]) =>
        Object.entries(DECLARED).map(async ([declared, capabilities]) => {
          const what = `TypeScript ${sdk} that declares ${declared}, ${server}`;
          await sheet.look(what, async () => {
            const at = { gateway, server, capabilities, connectTo };
            const { answered, tools } = await rideOver(at, cuts);
            sheet.note(
              `${what}: calls after ${cuts} cuts`,
              `${cuts} answered, ${tools[0]} tools`,
              `${answered} answered, ${[...new Set(tools)].join(" or ")} tools`,
            );
          });
        }),
      ),
    );
    await Promise.all(all);
  } finally {
    await gateway.stop();
  }
  return sheet;
}

interface Seat {
  gateway: Gateway;
  server: string;
  capabilities: object;
  connectTo: ConnectTo;
}

/** Cuts the client off so many times; the next calls that were answered, and how many tools it was shown before and after each cut. */
async function rideOver(
  { gateway, server, capabilities, connectTo }: Seat,
  cuts: number,
): Promise<{ answered: number; tools: number[] }> {
  // Who declares something else, and has the same User-Agent, is told from it by the key.
  const { secret } = (await gateway.cli(["key", "issue", "alice"])) as { secret: string };
  const proxy = await CuttingProxy.open(Number(new URL(gateway.origin).port));
  const url = new URL(`http://127.0.0.1:${proxy.port}/u/alice/${server}/sse`);
  const { client, endpoint } = await connectTo(
    url,
    { authorization: `Bearer ${secret}` },
    capabilities,
  );
  try {
    const tools = [(await client.listTools()).tools.length];
    let answered = 0;
    for (let n = 0; n < cuts; n += 1) {
      const before = endpoint();
      proxy.cutAll(CUTS[n % CUTS.length]!);
      await until(() => endpoint() !== before, "it has another stream", RETURN_MS);
      const message = `${secret.slice(-8)} ${n}`;
      const said = await client.callTool({ name: "echo", arguments: { message } });
      if (JSON.stringify(said).includes(`Echo: ${message}`)) answered += 1;
      tools.push((await client.listTools()).tools.length);
    }
    return { answered, tools };
  } finally {
    await client.close().catch(() => undefined);
    proxy.close();
  }
}
