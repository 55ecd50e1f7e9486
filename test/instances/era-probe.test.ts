import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openSupervisor, ref } from "../helpers/supervisor.ts";

const PROGRAM = fileURLToPath(new URL("../fixtures/servers/stdio-era.ts", import.meta.url));
const stdio = (...args: string[]) => ({
  command: process.execPath,
  args: ["--no-warnings", PROGRAM, ...args],
});

test("a legacy server that says nothing before initialize is found out, and not written down for good", async (t) => {
  const servers = { silent: stdio("--era", "silent") };
  const { supervisor } = openSupervisor(t, servers, { startTimeout: "5s" });
  assert.equal(await supervisor.eraOf(ref("alice", "silent")), "legacy");
  assert.equal(await supervisor.eraOf(ref("bob", "silent")), "legacy");
});

test("a server that starts in neither era is asked after a wait, as an instance is", async (t) => {
  const settings = { startTimeout: "250ms" };
  const broken = { command: "sh", args: ["-c", "exit 1"] };
  const { supervisor } = openSupervisor(t, { broken }, settings);
  const codes: string[] = [];
  for (let i = 0; i < 2; i++)
    await supervisor
      .eraOf(ref("alice", "broken"))
      .catch((error: { code: string }) => codes.push(error.code));
  assert.equal(codes[1], "INSTANCE_BACKING_OFF");
  assert.notEqual(codes[0], "INSTANCE_BACKING_OFF");
  await assert.rejects(
    supervisor.eraOf(ref("bob", "broken")),
    (error: { code: string }) => error.code === codes[0],
    "another user may have what this one lacks",
  );
  supervisor.forgive({ user: "alice" });
  await assert.rejects(
    supervisor.eraOf(ref("alice", "broken")),
    (error: { code: string }) => error.code === codes[0],
  );
});
