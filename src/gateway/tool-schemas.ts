import { z } from "zod";

/** No tool's name is longer. */
const MAX_NAME = 1024;

/** The body of `POST /tools`. */
export const toolCall = z.strictObject(
  {
    method: z
      .string("method must be the name of a tool")
      .min(1, "method must be the name of a tool")
      .max(MAX_NAME, "method must be the name of a tool")
      .describe("the tool's name"),
    args: z
      .record(z.string(), z.unknown(), "args must be a JSON object")
      .optional()
      .describe("what the tool is called with; nothing where it is left out"),
    server: z
      .string("server must be a server's name or URL")
      .nullable()
      .optional()
      .describe("slug, name or URL of the server that is asked first"),
    strict: z.boolean("strict must be true or false").optional().describe("that server, or none"),
  },
  {
    error: ({ code }) =>
      code === "unrecognized_keys"
        ? "the body may hold method, args, server and strict, and no other key"
        : "the body must be a JSON object",
  },
);

const APP = "settings must hold app_id and app_secret, as text";

/** As the user's own page sends it. */
export const pageCall = z.strictObject(
  {
    ...toolCall.shape,
    settings: z
      .strictObject(
        { app_id: z.string(APP).max(MAX_NAME, APP), app_secret: z.string(APP).max(MAX_NAME, APP) },
        APP,
      )
      .optional(),
  },
  {
    error: ({ code }) =>
      code === "unrecognized_keys"
        ? "the body may hold method, args, server, strict and settings, and no other key"
        : "the body must be a JSON object",
  },
);

const slug = z.string().describe("a server");
const state = z.enum(["stopped", "starting", "ready", "draining", "backing-off", "parked"]);

export const toolResult = z
  .object({
    result: z
      .looseObject({
        content: z.array(z.looseObject({ type: z.string() })).optional(),
        structuredContent: z.looseObject({}).optional(),
        isError: z.boolean().optional().describe("the tool ran, and failed"),
      })
      .describe("the CallToolResult of MCP, as the server wrote it"),
    server: slug.describe("the server that ran the tool"),
  })
  .describe("what the tool answered");

export const toolList = z
  .object({
    tools: z.array(
      z.looseObject({
        name: z.string(),
        description: z.string().optional(),
        inputSchema: z.looseObject({}).optional(),
        servers: z.array(slug).describe("those that have this very tool"),
      }),
    ),
    errors: z
      .array(z.object({ server: slug, message: z.string() }))
      .describe("servers that could not be asked"),
  })
  .describe("the tools of the user's servers");

export const serverList = z
  .object({
    servers: z.array(
      z.object({
        name: z.string(),
        slug,
        type: z.enum(["stdio", "sse", "http", "builtin"]),
        state,
        tools: z
          .array(z.string())
          .nullable()
          .describe("the names of its tools; null where they are not known"),
        error: z.string().optional().describe("why it is down"),
      }),
    ),
  })
  .describe("the user's servers");

export const health = z
  .looseObject({
    status: z.literal("ok"),
    version: z.string(),
    uptimeSeconds: z.number(),
    users: z.number(),
    sessions: z.number(),
    instances: z.record(z.string(), z.number()),
    servers: z.object({
      up: z.number(),
      down: z.number(),
      list: z
        .array(z.object({ slug, state }))
        .optional()
        .describe(
          "with `details`, to whoever shows a secret; those of MCP_URL and MCP_URLS always",
        ),
    }),
  })
  .describe("how the daemon is");

export const refusal = z
  .object({
    error: z.object({
      code: z.number().describe("the HTTP status"),
      type: z.string().describe("what failed, for programs"),
      message: z.string(),
      requestId: z.string(),
    }),
  })
  .describe("why there is no answer");
