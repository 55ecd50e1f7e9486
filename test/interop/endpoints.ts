import assert from "node:assert/strict";
import { get } from "node:http";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { FIXTURE } from "../conformance/fixture.ts";
import { losses, scoreOf } from "../conformance-sse/report.ts";
import { type Result, runChecks } from "../conformance-sse/suite.ts";
import { type DaemonProcess, startDaemonProcess } from "../helpers/daemon-process.ts";
import { type DirectChild, startServer } from "./direct.ts";
import { buildGoServers, type GoServers } from "./go.ts";
import { check, skip } from "./report.ts";

const TOKENS = { alice: "tok_alice_xxx", bob: "tok_bob_xxx" };
const USERS = ["alice", "bob"] as const;

interface Server {
  name: string;
  /** What is special about its endpoint. */
  says: string;
  /** What its stream begins with, byte for byte. */
  begins: RegExp;
  command: string;
  args: (port: string) => string[];
  echo: string;
  /** Has a tool `whoami` that shows the token. */
  showsToken: boolean;
}

const serversIn = (go: GoServers | undefined): Server[] => [
  ...(go
    ? [
        {
          name: "go-sdk",
          says: "has the path of the stream",
          begins: /^event: endpoint\ndata: \/sse\?sessionid=\w+\n\n/,
          command: go["go-sdk"],
          args: () => [],
          echo: "echo",
          showsToken: true,
        },
        {
          name: "mcp-go",
          says: "is a full URL, and its lines end in LF and CRLF",
          begins:
            /^event: endpoint\ndata: http:\/\/localhost:\d+\/message\?sessionId=[\w-]+\r\n\r\n/,
          command: go["go-mcp-go"],
          args: () => [],
          echo: "echo",
          showsToken: true,
        },
      ]
    : []),
  {
    name: "typescript",
    says: "is a full URL",
    begins: /^event: endpoint\ndata: http:\/\/[\w.]+:\d+\/messages\?sessionId=[\w-]+\n\n/,
    command: process.execPath,
    args: (port) => ["--no-warnings", FIXTURE, "--sse", "--endpoint", "full", "--port", port],
    echo: "test_echo",
    showsToken: false,
  },
];

/** What a stream begins with, up to the end of its first event. */
async function beginningOf(url: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const req = get(url, (res) => {
      let text = "";
      res.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        if (!/\n\r?\n/.test(text)) return;
        resolve(text);
        req.destroy();
      });
    }).on("error", reject);
  });
}

interface Sight {
  tools: string[];
  echoed: string[];
  token: string | undefined;
}

/** Visits a server with the client of the TypeScript SDK. */
async function look(url: string, server: Server, key?: string): Promise<Sight> {
  const headers: Record<string, string> =
    key === undefined ? {} : { authorization: `Bearer ${key}` };
  const client = new Client({ name: "interop", version: "1.0.0" });
  const Transport = url.endsWith("/mcp") ? StreamableHTTPClientTransport : SSEClientTransport;
  await client.connect(new Transport(new URL(url), { requestInit: { headers } }));
  const call = async (name: string, args: Record<string, unknown> = {}) => {
    const { content } = await client.callTool({ name, arguments: args });
    return (content as { text: string }[])[0]!.text;
  };
  try {
    const { tools } = await client.listTools();
    return {
      tools: tools.map(({ name }) => name).toSorted(),
      echoed: await Promise.all(
        Array.from({ length: 8 }, (_, nth) => call(server.echo, { text: `${url} ${nth}` })),
      ),
      token: server.showsToken ? await call("whoami") : undefined,
    };
  } finally {
    await client.close();
  }
}

async function visit(
  server: Server,
  daemon: DaemonProcess,
  keys: Record<string, string>,
): Promise<void> {
  const { name, says } = server;
  const program = (port: number) => ({
    command: server.command,
    args: server.args(String(port)),
    env: { ...process.env, PORT: String(port), USER_ACCESS_TOKEN: TOKENS.alice },
  });
  const child: DirectChild = await startServer(program, "/sse");
  try {
    // A client takes an endpoint on its own origin only, and that is what these call themselves.
    const url = child.url.replace("127.0.0.1", "localhost");
    const beginning = await beginningOf(url);
    check(`${name}: its endpoint ${says}`, () => assert.match(beginning, server.begins));
    const direct = await look(url, server);
    const paths = USERS.flatMap((user) =>
      ["sse", "mcp"].map((front) => ({ user, path: `/u/${user}/${name}/${front}` })),
    );
    for (const { user, path } of paths) {
      const through = await look(daemon.origin + path, server, keys[user]).catch(
        (error: Error) => error,
      );
      check(
        `${name}: a client at ${path} gets its own answers, and sees ${user}'s token only`,
        () => {
          if (through instanceof Error) throw through;
          assert.deepEqual(through.tools, direct.tools);
          assert.deepEqual(
            through.echoed,
            Array.from({ length: 8 }, (_, nth) => `${daemon.origin}${path} ${nth}`),
          );
          assert.equal(through.token, server.showsToken ? TOKENS[user] : undefined);
        },
      );
    }
    const headers = { authorization: `Bearer ${keys["alice"]}` };
    const [own, relayed] = await Promise.all([
      runChecks(new URL(url)),
      runChecks(new URL(`${daemon.origin}/u/alice/${name}/sse`), { headers }),
    ]);
    compare(name, own, relayed);
  } finally {
    await child.close();
  }
}

function compare(name: string, own: Result[], relayed: Result[]): void {
  const scores = `${scoreOf(own)} directly, ${scoreOf(relayed)} through the gateway`;
  check(`${name}: the SSE suite loses nothing (${scores})`, () =>
    assert.deepEqual(losses(own, relayed), []),
  );
}

/** Servers whose `endpoint` events differ, each behind the gateway as the SSE child of two users. */
export async function visitEndpoints(): Promise<void> {
  const go = await buildGoServers();
  if (!go) skip("SSE servers made with Go: there is no go on the PATH");
  const servers = serversIn(go);
  const entries = servers.map(({ name, command, args }) => [
    name,
    { type: "sse", command, args: args("${port}"), env: { PORT: "${port}" } },
  ]);
  const daemon = await startDaemonProcess({
    isolation: "none",
    defaultServer: "typescript",
    servers: Object.fromEntries(entries) as Record<string, unknown>,
  });
  try {
    const keys: Record<string, string> = {};
    for (const user of USERS) keys[user] = (await daemon.addUser(user, TOKENS[user])).key.secret;
    for (const server of servers) await visit(server, daemon, keys);
  } finally {
    await daemon.stop();
  }
}
