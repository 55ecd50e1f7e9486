import assert from "node:assert/strict";
import { test } from "node:test";
import { openApi } from "../../src/gateway/openapi.ts";
import { toolRouteOf } from "../../src/gateway/routes.ts";
import { TOOL_METHODS } from "../../src/gateway/tool-routes.ts";

type Operation = { operationId?: string; responses?: Record<string, unknown> };
interface Described {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, { additionalProperties?: unknown }> };
}

const described = openApi("1.2.3", "/mcp") as unknown as Described;

test("the description names the routes that there are, with their methods, and each answer leads to a schema", () => {
  for (const [path, operations] of Object.entries(described.paths)) {
    const route = toolRouteOf(path, "");
    const methods = Object.keys(operations).map((method) => method.toUpperCase());
    assert.deepEqual(methods, route === undefined ? ["GET"] : TOOL_METHODS[route], path);
    for (const { operationId, responses = {} } of Object.values(operations)) {
      assert.match(operationId ?? "", /^[a-z][A-Za-z]+$/);
      assert.ok("200" in responses && "401" in responses, path);
    }
  }
  const refs = [...JSON.stringify(described).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
  assert.ok(refs.length > 10);
  for (const [, name = ""] of refs) assert.ok(name in described.components.schemas, name);
  assert.equal(described.components.schemas["ToolCall"]?.additionalProperties, false);
  assert.equal(described.openapi, "3.1.0");
});

test("the paths of tool calls are read as they came, with the public prefix or without", () => {
  const read = (url: string) => toolRouteOf(url, "/mcp");
  assert.equal(read("/tools"), "call");
  assert.equal(read("/mcp/tools/"), "call");
  assert.equal(read("/mcp/tools/list?server=a&token=b"), "list");
  assert.equal(read("/servers?"), "servers");
  for (const url of [
    "/toolsx",
    "/tools//",
    "/%74ools",
    "/Tools",
    "/tools/../tools",
    "/mcp/mcp/tools",
    "/x/tools",
    "/tools/list/x",
    "/toString",
    "http://h/tools",
  ])
    assert.equal(read(url), undefined, url);
});
