import assert from "node:assert/strict";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import type { User } from "../../src/auth/registry.ts";
import type { ServerDef } from "../../src/config/config.ts";
import type { InstanceRow, Live, Ref } from "../../src/instances/supervisor.ts";
import {
  restartInstances,
  startInstance,
  stopInstances,
} from "../../src/operations/run-instances.ts";

interface Setting {
  state?: User["state"];
  /** Servers whose instance runs. */
  running?: readonly string[];
  /** Of these, those whose instance is removed while it is seen to. */
  removed?: readonly string[];
}

/** A supervisor that writes down what it is told. */
function rig({ state = "enabled", running = [], removed = [] }: Setting = {}) {
  const told: string[] = [];
  const ensure = async ({ server }: Ref): Promise<Live> => {
    if (removed.includes(server)) throw new SupervisorError("INSTANCE_NOT_FOUND", "it was removed");
    told.push(`ensure ${server}`);
    return await Promise.resolve({} as Live);
  };
  const names = [...running, "asleep"];
  const parts = {
    config: { defaultServer: "everything" },
    catalog: {
      findFor: (_user: string, name: string) =>
        name === "secret" ? undefined : ({ name } as ServerDef),
    },
    registry: {
      requireUser: (name: string) => ({ name, state, createdAt: 0, fullName: null, email: null }),
    },
    supervisor: {
      ensure,
      instance: (ref: Ref) => ({ ensure: () => ensure(ref) }),
      forgive: ({ server }: { server?: string | undefined }) => void told.push(`forgive ${server}`),
      list: ({ server }: { server?: string | undefined } = {}) =>
        names
          .filter((name) => server === undefined || server === name)
          .map((name) => {
            const isRunning = running.includes(name);
            const row = { user: "alice", server: name, variant: "" };
            return { ...row, state: isRunning ? "ready" : "stopped" } as InstanceRow;
          }),
      handOver: async () => await Promise.resolve(void told.push("hand over")),
      restart: async () => await Promise.resolve(void told.push("restart")),
      stop: async () => await Promise.resolve(void told.push("stop")),
    },
  };
  return { parts, told };
}

const serversOf = (refs: readonly Ref[]): string[] => refs.map(({ server }) => server);
const all = { user: "alice", server: undefined };

test("a start without a server is one of the default server, which is forgiven first", async () => {
  const { parts, told } = rig();
  assert.deepEqual(serversOf(await startInstance(parts, all)), ["everything"]);
  assert.deepEqual(told, ["forgive everything", "ensure everything"]);
});

test("a stop tells which instances ran", async () => {
  const { parts, told } = rig({ running: ["mail", "files"] });
  assert.deepEqual(serversOf(await stopInstances(parts, all)), ["mail", "files"]);
  assert.deepEqual(told, ["stop"]);
  assert.deepEqual(serversOf(await stopInstances(parts, { ...all, server: "asleep" })), []);
});

test("a restart brings up again what ran, and the server itself where nothing did", async () => {
  const busy = rig({ running: ["mail", "files"] });
  assert.deepEqual(serversOf(await restartInstances(busy.parts, all, false)), ["mail", "files"]);
  assert.deepEqual(busy.told, ["restart", "ensure mail", "ensure files"]);
  const idle = rig();
  const subject = { user: "alice", server: "asleep" };
  assert.deepEqual(serversOf(await restartInstances(idle.parts, subject, false)), ["asleep"]);
});

test("a graceful restart hands over what runs, and starts what does not", async () => {
  const { parts, told } = rig({ running: ["mail", "files"] });
  assert.deepEqual(serversOf(await restartInstances(parts, all, true)), ["mail", "files"]);
  assert.deepEqual(told, ["hand over", "ensure mail", "ensure files"]);
});

test("a restart sees to what is there still, and takes what is removed meanwhile for no failure", async () => {
  for (const isGraceful of [false, true]) {
    const { parts, told } = rig({ running: ["mail", "files"], removed: ["mail"] });
    await restartInstances(parts, all, isGraceful);
    assert.equal(told.at(-1), "ensure files");
  }
});

test("a disabled user's instances can be stopped, and neither started nor restarted", async () => {
  const { parts, told } = rig({ state: "disabled", running: ["mail"] });
  await stopInstances(parts, all);
  await assert.rejects(startInstance(parts, all), { code: "USER_DISABLED" });
  for (const isGraceful of [false, true])
    await assert.rejects(restartInstances(parts, all, isGraceful), { code: "USER_DISABLED" });
  assert.deepEqual(told, ["stop"]);
});

test("nobody starts the server of a user to whom it is not granted", async () => {
  const { parts, told } = rig();
  const subject = { user: "alice", server: "secret" };
  await assert.rejects(startInstance(parts, subject), { code: "SERVER_NOT_FOUND" });
  await assert.rejects(restartInstances(parts, subject, false), { code: "SERVER_NOT_FOUND" });
  assert.ok(!told.some((order) => order.startsWith("ensure")));
});
