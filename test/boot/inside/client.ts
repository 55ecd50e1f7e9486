import { PACKAGE } from "./system.ts";

const SDK = `${PACKAGE}/node_modules/@modelcontextprotocol/sdk/dist/esm/client`;
type Sdk = typeof import("@modelcontextprotocol/sdk/client/index.js");
type Http = typeof import("@modelcontextprotocol/sdk/client/streamableHttp.js");
type Sse = typeof import("@modelcontextprotocol/sdk/client/sse.js");

/** What a tool says to the SDK's own client, as JSON. */
export async function callTool(
  front: "http" | "sse",
  url: string,
  secret: string,
  tool: string,
): Promise<string> {
  const { Client } = (await import(`${SDK}/index.js`)) as Sdk;
  const { StreamableHTTPClientTransport: Http } = (await import(
    `${SDK}/streamableHttp.js`
  )) as Http;
  const { SSEClientTransport: Sse } = (await import(`${SDK}/sse.js`)) as Sse;
  const requestInit = { headers: { authorization: `Bearer ${secret}` } };
  const Transport = front === "http" ? Http : Sse;
  const client = new Client({ name: "boot-test", version: "1" });
  await client.connect(new Transport(new URL(url), { requestInit }));
  try {
    return JSON.stringify(await client.callTool({ name: tool, arguments: {} }));
  } finally {
    await client.close();
  }
}
