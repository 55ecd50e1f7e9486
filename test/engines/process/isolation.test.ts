import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../../src/config/config.ts";
import type { Config } from "../../../src/config/config.ts";
import { SupervisorError } from "../../../src/errors.ts";
import { Isolation } from "../../../src/engines/process/isolation.ts";
import { Uids } from "../../../src/engines/process/uids.ts";
import type { Machine } from "../../../src/engines/process/levels.ts";
import { temporaryStore } from "../../helpers/store.ts";

const ALL: Machine = { user: [], sandbox: [], outbound: [] };
const NO_SANDBOX: Machine = { ...ALL, sandbox: [{ found: "bubblewrap is not installed" }] };
const NO_OUTBOUND: Machine = { ...ALL, outbound: [{ found: "slirp4netns is not installed" }] };
const NOTHING: Machine = { ...NO_SANDBOX, user: [{ found: "only root can" }] };

function configOf(server: object, more: object = {}): Config {
  return parseConfig({ servers: { mail: { command: "cat", ...server } }, ...more }, "/srv/nowhere");
}

const serversOf = ({ servers }: Config) => Object.values(servers);

function levelOf(machine: Machine, server: object): string {
  const config = configOf(server);
  const [def] = serversOf(config);
  assert.ok(def?.kind === "child");
  try {
    return new Isolation(config, machine).levelOf(def);
  } catch (error) {
    assert.ok(error instanceof SupervisorError && error.code === "ISOLATION_UNAVAILABLE");
    return error.details.join("\n");
  }
}

function refusalOf(work: () => void): SupervisorError {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof SupervisorError && error.code === "ISOLATION_UNAVAILABLE");
    return error;
  }
  return assert.fail("it was not refused");
}

test("auto takes the strongest level that works and gives the server its network", () => {
  assert.equal(levelOf(ALL, {}), "sandbox");
  assert.equal(levelOf(NO_SANDBOX, {}), "user");
  assert.equal(levelOf(NO_OUTBOUND, { network: "full" }), "user");
  assert.equal(levelOf(NO_OUTBOUND, { network: "none" }), "sandbox");
});

test("auto never means none, and the refusal says what to install and what remains", () => {
  const refusal = levelOf(NOTHING, {});
  assert.match(refusal, /^sandbox: bubblewrap is not installed$/m);
  assert.match(refusal, /^user: only root can$/m);
  assert.match(refusal, /"isolation": "none" in the config, in writing/);
});

test("a level that is named is had or refused, and none is only had by name", () => {
  assert.equal(levelOf(NOTHING, { isolation: "none" }), "none");
  assert.equal(levelOf(ALL, { isolation: "user" }), "user");
  assert.match(levelOf(NO_SANDBOX, { isolation: "sandbox" }), /bubblewrap is not installed/);
  assert.match(levelOf(ALL, { isolation: "user", network: "none" }), /cannot keep a child off/);
});

test("a server that ran at a stronger level is not slipped down by auto, only by the admin's word", (t) => {
  const { store } = temporaryStore(t);
  const auto = configOf({});
  new Isolation(auto, ALL, store).settle(serversOf(auto));
  const refused = refusalOf(() => new Isolation(auto, NO_SANDBOX, store).settle(serversOf(auto)));
  assert.match(refused.details[0]!, /servers\.mail: ran at "sandbox" last time, .*"user" now/);
  assert.match(refused.details[1]!, /bubblewrap is not installed/);
  // Refused again: what was refused was not written down.
  refusalOf(() => new Isolation(auto, NO_SANDBOX, store).settle(serversOf(auto)));
  const none = configOf({ isolation: "none" });
  new Isolation(none, NO_SANDBOX, store).settle(serversOf(none));
});

test("a user's server keeps its account, nobody else gets it, and it is given anew last", (t) => {
  const { store } = temporaryStore(t);
  const range = { from: 1_900_000_001, to: 1_900_000_003 };
  const uids = new Uids(store, range);
  const first = uids.of("alice", "mail");
  assert.equal(first, range.from);
  assert.equal(new Uids(store, range).of("alice", "mail"), first);
  const second = uids.of("bob", "mail");
  assert.notEqual(second, first);
  store.uids.deleteOf("alice");
  assert.equal(uids.of("alice", "mail"), range.to, "not the one that was just freed");
  assert.equal(uids.of("carol", "mail"), first, "the freed one, when no other is left");
  assert.throws(() => uids.of("dave", "mail"), { code: "INSTANCE_SPAWN_FAILED" });
});

test("an account that a process runs as is not given to a child", (t) => {
  const { store } = temporaryStore(t);
  const mine = process.getuid!();
  const uids = new Uids(store, { from: mine, to: mine });
  assert.throws(() => uids.of("alice", "mail"), { code: "INSTANCE_SPAWN_FAILED" });
});

test("accounts of the system's and of systemd's are refused in the config", () => {
  const details = (uids: object): string => {
    try {
      configOf({}, { uids });
    } catch (error) {
      return (error as SupervisorError).details.join("\n");
    }
    return "";
  };
  assert.equal(details({ from: 61_001, to: 61_183 }), "");
  assert.match(details({ from: 500, to: 1500 }), /^uids: overlaps 0 to 999/);
  assert.match(details({ from: 61_001, to: 61_999 }), /^uids: overlaps 61184 to 65535/);
  assert.match(details({ from: 5000, to: 4000 }), /^uids\.to: must not be below/);
});
