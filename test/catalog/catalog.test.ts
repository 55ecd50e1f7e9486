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
  catalog.replace("config", { notes: servers["notes"]! });
  assert.equal(catalog.find("mail"), undefined);
  assert.deepEqual(
    catalog.list().map(({ name }) => name),
    ["notes"],
  );
});

test("servers of all origins are in one list, and a change of one origin leaves those of the others", () => {
  const catalog = new Catalog({ mail: servers["mail"]! }, { old: servers["notes"]! });
  catalog.replace("rest", { notes: servers["notes"]! }, { off: null });
  assert.deepEqual(
    catalog.list().map(({ name }) => [name, catalog.originOf(name)]),
    [
      ["mail", "config"],
      ["notes", "rest"],
    ],
  );
  assert.equal(catalog.find("off"), undefined);
  assert.equal(catalog.originOf("off"), "rest", "a disabled server keeps its name");
  assert.equal(catalog.originOf("other"), undefined);
  assert.deepEqual(catalog.disabledOf("config"), [servers["notes"]], "and is there to be shown");
  assert.deepEqual(catalog.disabledOf("rest"), []);
  assert.deepEqual(catalog.takenFrom("config", ["mail", "off", "new", "notes"]), [
    { name: "off", by: "rest" },
    { name: "notes", by: "rest" },
  ]);
  catalog.replace("config", {});
  assert.deepEqual(
    catalog.list().map(({ name }) => name),
    ["notes"],
  );
});

test("servers of the config are open to all users, those made by an admin's order to whom they are granted", () => {
  const catalog = new Catalog({ mail: servers["mail"]! });
  catalog.replace("rest", { notes: servers["notes"]! }, { off: null });
  const namesFor = (user: string): string[] => catalog.listFor(user).map(({ name }) => name);
  assert.deepEqual(namesFor("alice"), ["mail"], "before grants are known nothing is granted");
  catalog.askGrants({ mayUse: (user, server) => user === "alice" && server !== "mail" });
  assert.deepEqual([namesFor("alice"), namesFor("bob")], [["mail", "notes"], ["mail"]]);
  assert.equal(catalog.findFor("alice", "notes")?.name, "notes");
  for (const name of ["notes", "off", "other"])
    assert.equal(catalog.findFor("bob", name), undefined);
  assert.equal(catalog.findFor("bob", "mail")?.name, "mail");
  assert.equal(catalog.findFor("alice", "off"), undefined);
  assert.deepEqual(
    ["mail", "notes", "off", "other"].map((name) => catalog.needsGrant(name)),
    [false, true, true, undefined],
  );
});
