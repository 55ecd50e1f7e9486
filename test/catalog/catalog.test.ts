import assert from "node:assert/strict";
import { test } from "node:test";
import { Catalog } from "../../src/catalog/catalog.ts";
import { parseConfig } from "../../src/config/config.ts";

const { servers } = parseConfig(
  {
    defaultServer: "mail",
    servers: { mail: { type: "sse", command: "x" }, notes: { url: "http://localhost:1/mcp" } },
  },
  "/srv",
);

test("servers are those of the config, found by their own names only", () => {
  const catalog = new Catalog(servers);
  assert.equal(catalog.find("mail")?.kind, "child");
  assert.deepEqual(
    catalog.list().map(({ name }) => name),
    ["mail", "notes"],
  );
  for (const name of ["", "toString", "__proto__", "constructor"])
    assert.equal(catalog.find(name), undefined);
});

test("after a reload the servers are the new ones alone", () => {
  const catalog = new Catalog(servers);
  catalog.replace({ notes: servers["notes"]! });
  assert.equal(catalog.find("mail"), undefined);
  assert.deepEqual(
    catalog.list().map(({ name }) => name),
    ["notes"],
  );
});
