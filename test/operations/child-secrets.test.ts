import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import type { User } from "../../src/auth/registry.ts";
import type { InstanceRow, StateName, SupervisorEvents } from "../../src/instances/supervisor.ts";
import { ChildSecrets } from "../../src/operations/child-secrets.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";

const TOKEN = "a-token-of-alice";

function rig({ state = "enabled", token = TOKEN }: { state?: User["state"]; token?: string } = {}) {
  let logged = "";
  const scrubber = new Scrubber();
  const log = createLogger("info", {
    scrubber,
    destination: { write: (line) => void (logged += line) },
  });
  const secrets = new ChildSecrets({
    registry: { findUser: (name) => ({ name, state, createdAt: 0 }) },
    tokens: { secretFor: () => token },
    scrubber,
    log,
  });
  return { secrets, log, scrubber, logged: () => logged };
}

test("a token that a child is given is hidden from the log from then on", () => {
  const { secrets, log, logged } = rig();
  log.info(TOKEN);
  assert.equal(secrets.tokenFor("alice", "mail"), TOKEN);
  assert.ok(logged().includes(TOKEN));
  log.info(`again ${TOKEN}`);
  assert.ok(logged().includes("again ") && !logged().includes(`again ${TOKEN}`));
});

test("a user who is disabled or on the way out is given no token", () => {
  for (const state of ["disabled", "removing"] as const)
    assert.throws(() => rig({ state }).secrets.tokenFor("alice", "mail"), {
      code: "USER_DISABLED",
    });
});

test("of a token that is too short to be hidden the log tells, without it", () => {
  const { secrets, logged } = rig({ token: "abc" });
  assert.equal(secrets.tokenFor("alice", "mail"), "abc");
  assert.match(logged(), /the token is shorter than \d+ characters/);
  assert.doesNotMatch(logged(), /"abc"/);
});

test("a token stays hidden until the last instance that has it has stopped", () => {
  const { secrets, scrubber } = rig();
  const deleted: string[] = [];
  scrubber.delete = (name) => void deleted.push(name);
  const events = new EventEmitter<SupervisorEvents>();
  let states: StateName[] = ["ready", "stopped"];
  const list = () => states.map((state) => ({ state }) as InstanceRow);
  secrets.unhideAfterUse({ events, list });
  const ref = { user: "alice", server: "mail", variant: "" };
  events.emit("state", { ref, state: "stopped" });
  assert.deepEqual(deleted, []);
  states = ["stopped", "stopped"];
  events.emit("state", { ref, state: "ready" });
  assert.deepEqual(deleted, []);
  events.emit("state", { ref, state: "stopped" });
  assert.deepEqual(deleted, ["token alice/mail"]);
});
