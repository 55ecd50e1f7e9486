import {
  Client as ClientV2,
  SSEClientTransport as SseV2,
  StreamableHTTPClientTransport as HttpV2,
} from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Front } from "./rig.ts";

/** Where a client goes. */
export interface Door {
  url: (front: Front) => string;
  headers: Record<string, string>;
  /** After so long a client gives up. */
  patienceMs: number;
}

/** A client that somebody else wrote, with one session at a time. */
export interface SomeClient {
  name: string;
  front: Front;
  /** Begins a session. */
  open: (door: Door) => Promise<void>;
  /** The text of a tool's answer. */
  call: (tool: string, args: Record<string, unknown>) => Promise<string>;
  /** The text of a resource. */
  read: (uri: string) => Promise<string>;
  close: () => Promise<void>;
}

interface Connection {
  callTool: (params: { name: string; arguments: Record<string, unknown> }) => Promise<unknown>;
  readResource: (params: { uri: string }) => Promise<unknown>;
  close: () => Promise<void>;
}

function clientOf(
  name: string,
  front: Front,
  connect: (url: URL, door: Door) => Promise<Connection>,
): SomeClient {
  let connection: Connection | undefined;
  const textOf = (parts: unknown): string => (parts as { text: string }[])[0]!.text;
  return {
    name,
    front,
    open: async (door) => {
      connection = await connect(new URL(door.url(front)), door);
    },
    call: async (tool, args) => {
      const called = await connection!.callTool({ name: tool, arguments: args });
      const { content, isError } = called as { content: unknown; isError?: boolean };
      // Some gateways tell a lost call as what its tool had to say.
      if (isError === true) throw new Error(textOf(content));
      return textOf(content);
    },
    read: async (uri) => {
      const { contents } = (await connection!.readResource({ uri })) as { contents: unknown };
      return textOf(contents);
    },
    close: async () => await connection?.close().catch(() => undefined),
  };
}

const INFO = { name: "survive", version: "1" };

async function connectV1(
  front: Front,
  url: URL,
  { headers, patienceMs }: Door,
): Promise<Connection> {
  const options = { timeout: patienceMs };
  const client = new Client(INFO);
  const Transport = front === "sse" ? SSEClientTransport : StreamableHTTPClientTransport;
  await client.connect(new Transport(url, { requestInit: { headers } }));
  return {
    callTool: (params) => client.callTool(params, undefined, options),
    readResource: (params) => client.readResource(params, options),
    close: () => client.close(),
  };
}

async function connectV2(
  front: Front,
  url: URL,
  { headers, patienceMs }: Door,
): Promise<Connection> {
  const options = { timeout: patienceMs };
  const client = new ClientV2(INFO);
  const Transport = front === "sse" ? SseV2 : HttpV2;
  await client.connect(new Transport(url, { requestInit: { headers } }));
  return {
    callTool: (params) => client.callTool(params, options),
    readResource: (params) => client.readResource(params, options),
    close: () => client.close(),
  };
}

/** The clients of the TypeScript SDK, each over both fronts. */
export const typescriptClients = (): SomeClient[] =>
  (["sse", "mcp"] as const).flatMap((front) => [
    clientOf(`TypeScript v1 by /${front}`, front, (url, door) => connectV1(front, url, door)),
    clientOf(`TypeScript v2 by /${front}`, front, (url, door) => connectV2(front, url, door)),
  ]);
