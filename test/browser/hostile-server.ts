// An MCP server over stdio all of whose texts are hostile: a tool for each payload, and tools whose
// schemas are hard to make a form of.
import { PAYLOADS } from "./payloads.ts";

const READS = { readOnlyHint: true };
/** A list of tools has a bound, beyond which it is none. */
const short = PAYLOADS.map((payload) => payload.slice(0, 20_000));
const hostile = short.map((payload, at) => ({
  name: at % 2 === 0 ? `tool-${at}` : payload.slice(0, 60),
  title: payload,
  description: payload,
  annotations: READS,
  inputSchema: {
    type: "object",
    title: payload,
    description: payload,
    properties: {
      [payload.slice(0, 200)]: {
        type: "string",
        title: payload,
        description: payload,
        default: payload,
        format: payload,
      },
      choice: { enum: [payload, "plain"], description: payload },
      nested: { type: "object", properties: { [payload.slice(0, 50)]: { type: "boolean" } } },
    },
  },
}));
const wide = Object.fromEntries(
  Array.from({ length: 500 }, (_, at) => [`field${at}`, { type: "string" }]),
);
const SCHEMAS: Record<string, object> = {
  "by-reference": {
    type: "object",
    $defs: {
      point: {
        type: "object",
        properties: { x: { type: "integer" }, y: { type: "number" } },
        required: ["x"],
      },
    },
    properties: { at: { $ref: "#/$defs/point" } },
    required: ["at"],
  },
  variants: {
    type: "object",
    properties: {
      what: {
        oneOf: [
          { title: "word", type: "string" },
          { title: "number", type: "integer" },
        ],
      },
    },
  },
  lists: {
    type: "object",
    properties: { rows: { type: "array", items: { type: "array", items: { type: "integer" } } } },
    required: ["rows"],
  },
  wide: { type: "object", properties: wide },
  circle: { type: "object", properties: { again: { $ref: "#" } } },
  slow: {
    type: "object",
    properties: { text: { type: "string", pattern: "^(a+)+$", default: `${"a".repeat(40)}!` } },
  },
  bare: {},
};
const shaped = Object.entries(SCHEMAS).map(([name, inputSchema]) => ({
  name,
  inputSchema,
  annotations: READS,
}));
const silent = { name: "says-nothing-of-itself", inputSchema: { type: "object" } };
const destroys = {
  name: "destroys",
  inputSchema: { type: "object" },
  annotations: { destructiveHint: true, readOnlyHint: false },
};
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

function resultOf(name: string, args: unknown): object {
  const payload = hostile.findIndex((tool) => tool.name === name);
  if (payload === -1) return { content: [{ type: "text", text: JSON.stringify({ name, args }) }] };
  const text = PAYLOADS[payload]!;
  const less = short[payload]!;
  const data = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" onload="__ran=1"/>`).toString(
    "base64",
  );
  return {
    isError: true,
    structuredContent: { [text.slice(0, 100)]: text },
    content: [
      { type: "text", text },
      { type: "image", mimeType: "image/svg+xml", data },
      { type: "image", mimeType: "text/html", data: less },
      { type: "image", mimeType: "image/png", data: less },
      { type: "image", mimeType: "image/png", data: PIXEL },
      { type: "resource_link", name: text, uri: less },
      { type: "resource", resource: { uri: less, mimeType: "text/html", text: less } },
      { type: text.slice(0, 100), [text.slice(0, 100)]: text },
    ],
  };
}

process.stderr.write(`${PAYLOADS.join("\n")}\n`);
/** By newlines alone: to readline U+2028 ends a line too. */
async function* lines(): AsyncGenerator<string> {
  let rest = "";
  for await (const text of process.stdin.setEncoding("utf8")) {
    const whole = (rest + String(text)).split("\n");
    rest = whole.pop()!;
    yield* whole;
  }
}

for await (const line of lines()) {
  const { id, method, params } = JSON.parse(line) as {
    id?: unknown;
    method: string;
    params?: { name: string; arguments?: unknown };
  };
  if (id === undefined) continue;
  const result =
    method === "initialize"
      ? {
          protocolVersion: "2025-06-18",
          capabilities: { tools: {} },
          serverInfo: { name: "hostile", version: "1" },
        }
      : method === "tools/list"
        ? { tools: [...hostile, ...shaped, silent, destroys] }
        : method === "tools/call"
          ? resultOf(params!.name, params!.arguments)
          : {};
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
}
