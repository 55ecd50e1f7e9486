import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import type { AccessEvents } from "../../src/auth/access.ts";
import type { RegistryEvents } from "../../src/auth/registry.ts";
import type { ServerDef } from "../../src/config/config.ts";
import type { InstanceRow } from "../../src/instances/supervisor.ts";
import { followChanges } from "../../src/operations/follow-changes.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import type { TokenEvents } from "../../src/tokens/tokens.ts";
import { until } from "../helpers/until.ts";

function rig({ stop = () => Promise.resolve(), end = () => {} } = {}) {
  const told: string[] = [];
  let logged = "";
  const access = { events: new EventEmitter<AccessEvents>() };
  const registry = { events: new EventEmitter<RegistryEvents>(), access };
  const connects = {
    end: (user: string) => {
      told.push(`end connects of ${user}`);
      end();
    },
  };
  const tokens = { events: new EventEmitter<TokenEvents>(), connects };
  followChanges({
    registry,
    tokens,
    catalog: {
      findFor: (user, name) => (user === "alice" ? undefined : ({ name } as ServerDef)),
    },
    supervisor: {
      list: (of) => ["alice", "bob"].map((user) => ({ user, server: of?.server }) as InstanceRow),

      stop: async ({ user, server }) => {
        told.push(`stop ${[user, server].filter(Boolean).join(" ")}`);
        await stop();
      },
      renewTokens: async ({ user, server }, why) => {
        await Promise.resolve(told.push(`renew ${user} ${server}: ${why}`));
      },
      renewAtOnce: async ({ user, server }, why) => {
        await Promise.resolve(told.push(`at once ${user} ${server}: ${why}`));
      },
    },
    manifests: {
      forget: ({ user, server }) => void told.push(`forget ${user} ${server}`),
    },
    sessions: {
      closeCredential: ({ credentialId }) => void told.push(`close key ${credentialId}`),
      closeServerTo: (server, isOut) =>
        void told.push(`close ${server} to ${["alice", "bob"].filter(isOut).join()}`),
      closeUser: (user) => void told.push(`close user ${user}`),
    },
    log: createLogger("info", { destination: { write: (line) => void (logged += line) } }),
  });
  return { registry, tokens, told, logged: () => logged };
}

test("when a key ends its sessions and what a browser has begun end, and when a user ends the children too, within the event", () => {
  const { registry, told } = rig();
  registry.events.emit("credential-ended", { issuer: "key", credentialId: "k1", user: "alice" });
  registry.events.emit("credential-ended", { issuer: "corp", credentialId: "j1", user: "alice" });
  registry.events.emit("jwts-revoked", { user: "alice" });
  registry.events.emit("user-ended", { user: "alice" });
  const begun = "end connects of alice";
  assert.deepEqual(told, [
    "close key k1",
    begun,
    "close key j1",
    begun,
    "close user alice",
    begun,
    "stop alice",
  ]);
});

test("a new token renews the children of its server, the general one those of all, and what they showed is forgotten", () => {
  const { tokens, told } = rig();
  tokens.events.emit("changed", { user: "alice", server: "mail", isCleared: false });
  tokens.events.emit("changed", { user: "alice", server: null, isCleared: false });
  const why = "restarted for a new token";
  assert.deepEqual(told, [
    "forget alice mail",
    `renew alice mail: ${why}`,
    "forget alice undefined",
    `renew alice undefined: ${why}`,
  ]);
});

test("a token that is taken away is used for no other call", () => {
  const { tokens, told } = rig();
  tokens.events.emit("changed", { user: "alice", server: null, isCleared: true });
  assert.deepEqual(told, [
    "forget alice undefined",
    "at once alice undefined: stopped: the token was cleared",
  ]);
});

test("a child that could not be stopped is logged, with its user", async () => {
  const { registry, logged } = rig({ stop: () => Promise.reject(new Error("it hangs")) });
  registry.events.emit("user-ended", { user: "alice" });
  await until(() => logged() !== "", "the failure is logged");
  assert.match(logged(), /"user":"alice".*it hangs.*a child could not be stopped/);
});

test("a database that fails keeps no key from ending, and is logged", () => {
  const end = () => {
    throw new Error("the disk is full");
  };
  const { registry, told, logged } = rig({ end });
  registry.events.emit("user-ended", { user: "alice" });
  assert.ok(told.includes("stop alice"));
  assert.match(logged(), /"user":"alice".*the disk is full.*could not be made void/);
});

test("who lost a server loses sessions and children of it, within the event, and nobody else does", () => {
  const { registry, told } = rig();
  registry.access.events.emit("narrowed", new Set(["weather", "mail"]));
  assert.deepEqual(told, [
    "close weather to alice",
    "stop alice weather",
    "close mail to alice",
    "stop alice mail",
  ]);
});
