import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Registry } from "../../src/auth/registry.ts";
import { temporaryStore } from "../helpers/store.ts";

function rig(t: TestContext) {
  const { store } = temporaryStore(t);
  const registry = new Registry(store);
  for (const name of ["alice", "bob", "carol"]) registry.addUser(name);
  const { access } = registry;
  const lost: string[] = [];
  access.events.on("narrowed", (servers) => {
    // What is in force is asked within the event.
    for (const server of servers)
      for (const user of ["alice", "bob", "carol"])
        if (!access.mayUse(user, server)) lost.push(`${user} ${server}`);
  });
  const may = (server: string): string[] =>
    ["alice", "bob", "carol"].filter((user) => access.mayUse(user, server));
  return { store, registry, access, lost, may };
}

test("a server is for those whom it is granted to: by name, by a group of theirs, to everybody", (t) => {
  const { access, may } = rig(t);
  assert.deepEqual(may("weather"), []);
  assert.equal(access.grant("alice", "weather"), true);
  assert.equal(access.grant("alice", "weather"), false);
  assert.deepEqual(may("weather"), ["alice"]);
  assert.equal(access.addGroup("staff", ["bob"]), true);
  assert.equal(access.grant("@staff", "weather"), true);
  assert.deepEqual(may("weather"), ["alice", "bob"]);
  assert.equal(access.addGroup("staff", ["carol"]), false);
  assert.deepEqual(may("weather"), ["alice", "bob", "carol"]);
  assert.deepEqual(may("mail"), []);
  access.grant("@all", "mail");
  assert.deepEqual(may("mail"), ["alice", "bob", "carol"]);
  assert.equal(access.mayUse("nobody", "weather"), false);
  assert.deepEqual(access.groups(), [
    { name: "staff", members: ["bob", "carol"], servers: ["weather"] },
  ]);
  assert.deepEqual(access.of("bob"), {
    groups: ["staff"],
    granted: [
      { server: "mail", by: ["@all"] },
      { server: "weather", by: ["@staff"] },
    ],
  });
});

test("who loses a server is told within the call, whichever way it went; who has it in another way keeps it", (t) => {
  const { access, lost, may } = rig(t);
  access.addGroup("staff", ["alice", "bob"]);
  access.grant("@staff", "weather");
  access.grant("alice", "weather");
  access.grant("@all", "mail");
  assert.deepEqual([may("weather"), may("mail").length], [["alice", "bob"], 3]);
  const lostBy = (work: () => unknown): string[] => {
    lost.length = 0;
    work();
    return lost.filter((who) => !who.startsWith("carol weather"));
  };
  assert.deepEqual(
    lostBy(() => access.removeMembers("staff", ["alice", "bob", "carol"])),
    ["bob weather"],
  );
  access.addGroup("staff", ["bob"]);
  assert.deepEqual(may("weather"), ["alice", "bob"]);
  assert.deepEqual(
    lostBy(() => access.removeGroup("staff")),
    ["bob weather"],
  );
  assert.deepEqual(
    lostBy(() => access.ungrant("alice", "weather")),
    ["alice weather", "bob weather"],
  );
  assert.deepEqual(
    lostBy(() => access.ungrant("@all", "mail")),
    ["alice mail", "bob mail", "carol mail"],
  );
  assert.deepEqual(
    lostBy(() => access.ungrant("@all", "mail")),
    [],
  );
});

test("grants of a server that is gone are not those of the next one of its name", (t) => {
  const { access, may, lost } = rig(t);
  access.grant("alice", "weather");
  access.grant("@all", "weather");
  access.serverGone("weather");
  assert.deepEqual(may("weather"), []);
  assert.equal(lost.length, 3);
});

test("a user who is removed leaves no grant and no membership to the next of that name", (t) => {
  const { access, registry, may } = rig(t);
  access.addGroup("staff", ["alice"]);
  access.grant("@staff", "weather");
  access.grant("alice", "mail");
  assert.deepEqual([may("weather"), may("mail")], [["alice"], ["alice"]]);
  registry.beginRemoval("alice");
  // Somebody asks between the first step of the removal and the last.
  assert.deepEqual([may("weather"), may("mail")], [[], []]);
  registry.finishRemoval("alice");
  registry.addUser("alice");
  assert.deepEqual([may("weather"), may("mail")], [[], []]);
  assert.deepEqual(access.requireGroup("staff").members, []);
});

test("what names nobody is refused, with the name that was meant", (t) => {
  const { access } = rig(t);
  access.addGroup("staff", []);
  const message = (meant: string): object => ({
    message: new RegExp(`; did you mean ${meant}\\?`),
  });
  assert.throws(() => access.grant("@staf", "weather"), {
    code: "GROUP_NOT_FOUND",
    ...message("staff"),
  });
  assert.throws(() => access.grant("alise", "weather"), {
    code: "USER_NOT_FOUND",
    ...message("alice"),
  });
  assert.throws(() => access.addGroup("crew", ["alice", "bop"]), { code: "USER_NOT_FOUND" });
  assert.deepEqual(
    access.groups().map(({ name }) => name),
    ["staff"],
  );
  assert.throws(() => access.addGroup("all", []), { code: "REQUEST_INVALID" });
  assert.throws(() => access.addGroup("Crew!", []), { code: "REQUEST_INVALID" });
});

test("of what a transaction takes back nobody is told, and it is not in force", (t) => {
  const { store, registry, access, lost, may } = rig(t);
  access.grant("alice", "weather");
  const ended: string[] = [];
  registry.events.on("user-ended", ({ user }) => ended.push(user));
  const failing = (): void => {
    access.ungrant("alice", "weather");
    registry.disableUser("bob");
    throw new Error("the last step fails");
  };
  assert.throws(() => store.transaction(failing), { message: /the last step/ });
  assert.deepEqual([lost, ended, may("weather")], [[], [], ["alice"]]);
  store.transaction(() => {
    access.ungrant("alice", "weather");
    registry.disableUser("bob");
    assert.deepEqual([lost, ended], [[], []]);
  });
  assert.deepEqual([lost.length, ended], [3, ["bob"]]);
});
