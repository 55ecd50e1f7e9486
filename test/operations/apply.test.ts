import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { newAccessKey } from "../../src/auth/access-key.ts";
import { Registry } from "../../src/auth/registry.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import { checkWanted } from "../../src/config/apply-schema.ts";
import { parseConfig } from "../../src/config/config.ts";
import type { SupervisorError } from "../../src/errors.ts";
import { apply } from "../../src/operations/apply.ts";
import type { ApplyOrder, Change } from "../../src/operations/apply.ts";
import { figure } from "../helpers/figures.ts";
import { temporaryStore } from "../helpers/store.ts";

const url = (name: string) => ({ [name]: { url: `http://localhost:1/${name}` } });
const { servers } = parseConfig(
  { defaultServer: "open", servers: { ...url("open"), ...url("weather"), ...url("mail") } },
  "/srv",
);

function rig(t: TestContext) {
  const { store } = temporaryStore(t);
  const registry = new Registry(store);
  const catalog = new Catalog({ open: servers["open"]! });
  catalog.replace("rest", { weather: servers["weather"]!, mail: servers["mail"]! });
  catalog.askGrants(registry.access);
  const order = (file: object, how: Partial<ApplyOrder> = {}) => {
    const checked = checkWanted(file);
    assert.ok("wanted" in checked, JSON.stringify(checked));
    const { wanted } = checked;
    return apply(
      { store, registry, catalog },
      { wanted, isDryRun: false, prune: false, entries: undefined, ...how },
    );
  };
  const may = (user: string): string[] =>
    ["weather", "mail"].filter((server) => registry.access.mayUse(user, server));
  return { store, registry, order, may };
}

const FILE = {
  users: [
    { name: "alice", displayName: "Alice", groups: ["staff"] },
    { name: "bob", servers: ["mail", "open"] },
    { name: "carol", disabled: true },
  ],
  groups: [
    { name: "staff", members: ["bob"], servers: ["weather"] },
    { name: "all", servers: ["mail"] },
  ],
};

const said = (changes: readonly Change[]): string[] =>
  changes.map((one) => Object.values(one).join(" "));

test("all is made as the file wants it; again there is nothing to change; a dry run changes nothing", (t) => {
  const { registry, order, may } = rig(t);
  const expected = [
    "add-user alice",
    "add-user bob",
    "add-user carol",
    "disable-user carol",
    "add-group staff",
    "add-member staff alice",
    "add-member staff bob",
    "grant bob mail",
    "grant @staff weather",
    "grant @all mail",
  ];
  assert.deepEqual(said(order(FILE, { isDryRun: true }).changes), expected);
  assert.equal(registry.countUsers(), 0);
  const done = order(FILE);
  assert.deepEqual(said(done.changes), expected);
  assert.deepEqual([done.open, done.entries], [["open"], []]);
  assert.deepEqual(registry.requireUser("alice").fullName, "Alice");
  assert.deepEqual(
    [may("alice"), may("bob"), may("carol")],
    [["weather", "mail"], ["weather", "mail"], ["mail"]],
  );
  assert.equal(registry.requireUser("carol").state, "disabled");
  for (const how of [{}, { prune: true }, { isDryRun: true, prune: true }])
    assert.deepEqual(order(FILE, how).changes, []);
});

test("what the file does not say of a user stays; what it says otherwise is changed", (t) => {
  const { registry, order } = rig(t);
  order({ users: [{ name: "alice", displayName: "Alice", email: "a@example.com" }] });
  registry.disableUser("alice");
  assert.deepEqual(order({ users: [{ name: "alice" }] }).changes, []);
  const other = { users: [{ name: "alice", displayName: "Ada", disabled: false }] };
  assert.deepEqual(said(order(other).changes), ["set-user alice", "enable-user alice"]);
  const { fullName, email, state } = registry.requireUser("alice");
  assert.deepEqual([fullName, email, state], ["Ada", "a@example.com", "enabled"]);
  assert.deepEqual(said(order({ users: [{ name: "alice", email: null }] }).changes), [
    "set-user alice",
  ]);
});

test("with prune what an apply made goes, users are disabled, and what others made stays", (t) => {
  const { registry, order, may } = rig(t);
  const ended: string[] = [];
  registry.events.on("user-ended", ({ user }) => ended.push(user));
  registry.addUser("dave");
  registry.access.addGroup("friends", ["dave"]);
  registry.access.grant("dave", "mail");
  order(FILE);
  registry.access.grant("alice", "mail");
  const left = { users: [{ name: "alice" }] };
  assert.deepEqual(order(left).changes, [], "without prune nothing goes");
  ended.length = 0;
  assert.deepEqual(said(order(left, { prune: true }).changes), [
    "ungrant @all mail",
    "ungrant bob mail",
    "remove-group staff",
    "disable-user bob",
  ]);
  assert.deepEqual(ended, ["bob"]);
  assert.deepEqual([may("alice"), may("bob"), may("dave")], [["mail"], [], ["mail"]]);
  assert.deepEqual(
    registry.access.groups().map(({ name }) => name),
    ["friends"],
  );
  assert.equal(registry.requireUser("bob").state, "disabled");
  assert.deepEqual(order(left, { prune: true }).changes, []);
});

test("a member and a grant that the file leaves out of a group that stays go as well", (t) => {
  const { order, may } = rig(t);
  order(FILE);
  const left = {
    users: [{ name: "alice", groups: ["staff"] }, { name: "bob" }, { name: "carol" }],
    groups: [{ name: "staff", servers: ["mail"] }],
  };
  assert.deepEqual(said(order(left, { prune: true }).changes), [
    "grant @staff mail",
    "ungrant @all mail",
    "ungrant bob mail",
    "ungrant @staff weather",
    "remove-member staff bob",
  ]);
  assert.deepEqual([may("alice"), may("bob")], [["mail"], []]);
});

test("one who was disabled for being left out is enabled once the file names them again, and one whom an admin disabled is not", (t) => {
  const { registry, order } = rig(t);
  const both = { users: [{ name: "alice" }, { name: "bob" }] };
  order(both);
  registry.disableUser("bob");
  assert.deepEqual(said(order({}, { prune: true }).changes), ["disable-user alice"]);
  assert.deepEqual(said(order(both).changes), ["enable-user alice"]);
  assert.equal(registry.requireUser("bob").state, "disabled");
});

test("names that are not there are refused with their places and what was meant, and nothing is changed", (t) => {
  const { registry, order } = rig(t);
  const file = {
    users: [
      { name: "alice", groups: ["stff"], servers: ["wether"] },
      { name: "bob", servers: ["x"] },
    ],
    groups: [{ name: "staff", members: ["alise"] }],
  };
  assert.throws(
    () => order(file),
    ({ code, details }: SupervisorError) => {
      assert.equal(code, "REQUEST_INVALID");
      assert.deepEqual(details, [
        "users[0].groups[0]: there is no group stff; did you mean staff?",
        "groups[0].members[0]: there is no user alise; did you mean alice?",
        "users[0].servers[0]: there is no server wether; did you mean weather?",
        "users[1].servers[0]: there is no server x",
      ]);
      return true;
    },
  );
  assert.equal(registry.countUsers(), 0);
});

test("with prune a member whom the same order would disable is refused, and stays as it is", (t) => {
  const { registry, order } = rig(t);
  order(FILE);
  const left = { groups: [{ name: "staff", members: ["bob"] }] };
  assert.throws(() => order(left, { prune: true }), { code: "REQUEST_INVALID" });
  assert.equal(registry.requireUser("bob").state, "enabled");
});

test("new users get the keys that were brought for them, and those of an order before are known again", (t) => {
  const { registry, order } = rig(t);
  const secrets = { alice: newAccessKey(), bob: newAccessKey(), carol: newAccessKey() };
  const entries = { kind: "keys", secrets } as const;
  const done = order(FILE, { entries });
  const all = ["alice", "bob", "carol"].map((user) => ({ user, expiresAt: null }));
  assert.deepEqual(done.entries, all);
  assert.equal(registry.verify(secrets.alice)?.user, "alice");
  // Whoever heard no answer asks again, with the same and with what is no user's.
  const others = { ...secrets, dave: newAccessKey(), bob: newAccessKey() };
  const again = order(FILE, { entries: { kind: "keys", secrets: others } });
  assert.deepEqual([again.changes, again.entries], [[], [all[0], all[2]]]);
  assert.equal(registry.verify(others.bob), undefined);
});

test("a new user without a key, or with one that is somebody's, takes the whole order back", (t) => {
  const { registry, order } = rig(t);
  const dave = registry.addUser("dave").name;
  const used = registry.issueKey(dave).secret;
  const wrong: Record<string, string>[] = [
    { alice: newAccessKey() },
    { alice: newAccessKey(), bob: used, carol: newAccessKey() },
    { alice: "no key", bob: newAccessKey(), carol: newAccessKey() },
  ];
  for (const secrets of wrong)
    assert.throws(() => order(FILE, { entries: { kind: "keys", secrets } }), {
      code: "REQUEST_INVALID",
    });
  assert.equal(registry.countUsers(), 1);
});

test("300 users with groups and keys are made at once, and looked through again without a change", (t) => {
  const { registry, order } = rig(t);
  const users = Array.from({ length: 300 }, (_, at) => ({
    name: `user-${at}`,
    groups: [`group-${at % 10}`],
    servers: ["mail"],
  }));
  const groups = Array.from({ length: 10 }, (_, at) => ({
    name: `group-${at}`,
    servers: ["weather"],
  }));
  const secrets = Object.fromEntries(users.map(({ name }) => [name, newAccessKey()]));
  const startedAt = performance.now();
  order({ users, groups }, { entries: { kind: "keys", secrets } });
  assert.deepEqual(order({ users, groups }, { prune: true }).changes, []);
  figure(t, "both", performance.now() - startedAt, 1_000);
  assert.equal(registry.countUsers(), 300);
});
