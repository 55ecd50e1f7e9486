import { z } from "zod";
import { health, refusal, serverList, toolCall, toolList, toolResult } from "./tool-schemas.ts";

type Json = Readonly<Record<string, unknown>>;

const SCHEMAS = {
  Health: health,
  Refusal: refusal,
  ServerList: serverList,
  ToolCall: toolCall,
  ToolList: toolList,
  ToolResult: toolResult,
} as const;

const refTo = (name: keyof typeof SCHEMAS): Json => ({ $ref: `#/components/schemas/${name}` });

const json = (name: keyof typeof SCHEMAS): Json => ({
  "application/json": { schema: refTo(name) },
});

const REFUSALS: Readonly<Record<string, string>> = {
  400: "the request, or what the tool is called with, is not as it should be",
  401: "no secret, or one that is not valid",
  404: "there is no such tool or server",
  500: "the server failed, or broke off",
  503: "no server can be had now; Retry-After says when to try again",
};

function answers(ok: keyof typeof SCHEMAS, ...statuses: readonly string[]): Json {
  const refusals = statuses.map((status) => [
    status,
    {
      description: REFUSALS[status],
      content: json("Refusal"),
      ...(status === "503"
        ? { headers: { "Retry-After": { schema: { type: "integer" }, description: "seconds" } } }
        : {}),
    },
  ]);
  const good = { description: SCHEMAS[ok].description, content: json(ok) };
  return { 200: good, ...(Object.fromEntries(refusals) as Json) };
}

const inQuery = (name: string, description: string, schema: Json = { type: "string" }): Json => ({
  name,
  in: "query",
  required: false,
  description,
  schema,
});

function paths(): Json {
  return {
    "/tools": {
      post: {
        operationId: "callTool",
        summary: "Call a tool",
        requestBody: { required: true, content: json("ToolCall") },
        responses: answers("ToolResult", "400", "401", "404", "500", "503"),
      },
    },
    "/tools/list": {
      get: {
        operationId: "listTools",
        summary: "List the tools",
        parameters: [inQuery("server", "only those of this server: slug, name or URL")],
        responses: answers("ToolList", "400", "401", "404"),
      },
    },
    "/servers": {
      get: {
        operationId: "listServers",
        summary: "List the servers",
        responses: answers("ServerList", "401"),
      },
    },
    "/health": {
      get: {
        operationId: "getHealth",
        summary: "Ask whether the daemon is well",
        security: [{}, { header: [] }, { query: [] }],
        parameters: [inQuery("details", "with the state of each server", { type: "string" })],
        responses: answers("Health", "401"),
      },
    },
  };
}

/** What can be asked without MCP, as OpenAPI 3.1; `base` is the path that it stands under. */
export function openApi(version: string, base: string): Json {
  const options = { target: "draft-2020-12" } as const;
  const schemas = Object.entries(SCHEMAS).map(([name, schema]) => {
    const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, options);
    return [name, rest] as const;
  });
  return {
    openapi: "3.1.0",
    info: {
      title: "mcp-supervisor: tool calls over HTTP",
      description: "Calls tools of a user's MCP servers without speaking MCP.",
      version,
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: base === "" ? "/" : base }],
    security: [{ header: [] }, { query: [] }],
    paths: paths(),
    components: {
      schemas: Object.fromEntries(schemas),
      securitySchemes: {
        header: { type: "http", scheme: "bearer", description: "an access key" },
        query: { type: "apiKey", in: "query", name: "token", description: "the same, in the URL" },
      },
    },
  };
}
