import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import type { User } from "../../src/auth/registry.ts";
import type { SupervisorEvents } from "../../src/instances/supervisor.ts";
import { ChildSecrets } from "../../src/operations/child-secrets.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";

const TOKEN = "a-token-of-alice";

const { signal: SIGNAL } = new AbortController();
const ALICE = { user: "alice", server: "mail", variant: "" };

interface Given {
  state?: User["state"];
  token?: string;
}

function rig(given: Given = {}) {
  let logged = "";
  const scrubber = new Scrubber();
  const log = createLogger("info", {
    scrubber,
    destination: { write: (line) => void (logged += line) },
  });
  const secrets = new ChildSecrets({
    registry: {
      findUser: (name) => ({
        name,
        state: given.state ?? "enabled",
        createdAt: 0,
        fullName: null,
        email: null,
      }),
    },
    tokens: {
      secretFor: () => given.token ?? TOKEN,
      freshFor: () => Promise.resolve(given.token ?? TOKEN),
    },
    scrubber,
    log,
  });
  return { secrets, log, scrubber, logged: () => logged };
}

test("a token that a child is given is hidden from the log from then on", async () => {
  const { secrets, log, logged } = rig();
  log.info(TOKEN);
  assert.equal(await secrets.secretsFor(ALICE, 1, SIGNAL), TOKEN);
  assert.ok(logged().includes(TOKEN));
  log.info(`again ${TOKEN}`);
  assert.ok(logged().includes("again ") && !logged().includes(`again ${TOKEN}`));
});

test("a user who is disabled or on the way out is given no token", async () => {
  for (const state of ["disabled", "removing"] as const)
    await assert.rejects(rig({ state }).secrets.secretsFor(ALICE, 1, SIGNAL), {
      code: "USER_DISABLED",
    });
});

test("of a token that is too short to be hidden the log tells, without it", async () => {
  const { secrets, logged } = rig({ token: "abc" });
  assert.equal(await secrets.secretsFor(ALICE, 1, SIGNAL), "abc");
  assert.match(logged(), /the token is shorter than \d+ characters/);
  assert.doesNotMatch(logged(), /"abc"/);
});

test("a token stays hidden as long as there is a generation that has it", async () => {
  const given = { token: "first-of-alice" };
  const { secrets, scrubber } = rig(given);
  const events = new EventEmitter<SupervisorEvents>();
  secrets.unhideAfterUse({ events });
  const deleted: string[] = [];
  scrubber.delete = (name) => void deleted.push(name);
  await secrets.secretsFor(ALICE, 1, SIGNAL);
  given.token = "second-of-alice";
  await secrets.secretsFor(ALICE, 2, SIGNAL);
  assert.equal(scrubber.scrub("first-of-alice, second-of-alice"), "[secret], [secret]");
  deleted.length = 0;
  for (const state of ["starting", "ready", "draining", "gone"] as const)
    events.emit("state", { ref: ALICE, generation: 1, state });
  assert.deepEqual(deleted, ["token alice/mail/ 1"]);
});
