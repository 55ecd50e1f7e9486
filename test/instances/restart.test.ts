import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { SupervisorError } from "../../src/errors.ts";
import { ownVariant } from "../../src/instances/supervisor.ts";
import { makeTimeSkippable } from "../helpers/skippable-time.ts";
import { fixture, openSupervisor, ref } from "../helpers/supervisor.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

const ECHO_STDIO = path.resolve(import.meta.dirname, "../../bench/echo-stdio.mjs");
const CRASH = ref("alice", "crash");

/** Skips time for the supervisor; the children live on in real time. */
function skipper(t: TestContext): (ms: number) => void {
  const { skip, restore } = makeTimeSkippable();
  t.after(restore);
  return skip;
}

async function failureOf(start: Promise<unknown>): Promise<SupervisorError> {
  const [outcome] = await Promise.allSettled([start]);
  assert.equal(outcome.status, "rejected");
  return outcome.reason as SupervisorError;
}

test("after a failure the next message waits for the next try, and shares it with those after it", async (t) => {
  const { supervisor } = openSupervisor(t, { crash: fixture("crash-on-start") });
  const before = Date.now();
  await failureOf(supervisor.ensure(CRASH));
  await until(() => supervisor.list()[0]?.state === "backing-off", "it backs off");
  const row = supervisor.list()[0]!;
  assert.equal(row.reason, "exited with code 3 before it was ready");
  assert.ok(row.retryAt! >= before + 800 && row.retryAt! <= Date.now() + 1_200);
  const waiting = supervisor.ensure(CRASH);
  assert.equal(supervisor.ensure(CRASH), waiting);
  assert.equal(supervisor.list()[0]?.generation, 1);
  assert.equal((await failureOf(waiting)).code, "INSTANCE_EXITED");
  assert.equal(supervisor.list()[0]?.generation, 2);
  assert.equal(supervisor.list()[0]?.restarts, 1);
});

/** A server that fails for each line of a file. */
function failing(t: TestContext) {
  const left = path.join(temporaryFolder(t), "failures");
  const script = `if [ -s "${left}" ]; then sed -i 1d "${left}"; exit 3; fi; exec "${process.execPath}" "${ECHO_STDIO}"`;
  const crash = { type: "stdio", command: "sh", args: ["-c", script] };
  return { ...openSupervisor(t, { crash }), left };
}

test("a server that was ready before and fails once is started again for who waited, one that fails twice is not", async (t) => {
  const { supervisor, left } = failing(t);
  const skip = skipper(t);
  writeFileSync(left, "1\n");
  assert.equal((await failureOf(supervisor.ensure(CRASH))).code, "INSTANCE_EXITED");
  skip(100_000);
  await supervisor.ensure(CRASH);
  await supervisor.stop(CRASH, "stopped by an admin");

  writeFileSync(left, "1\n");
  const served = supervisor.ensure(CRASH);
  await until(() => supervisor.list()[0]?.state === "backing-off", "it waits for the next try");
  skip(1_300);
  assert.equal((await served).generation, 4);
  await supervisor.stop(CRASH, "stopped by an admin");

  writeFileSync(left, "1\n2\n");
  const failed = supervisor.ensure(CRASH);
  await until(() => supervisor.list()[0]?.state === "backing-off", "it waits for the next try");
  skip(1_300);
  assert.equal((await failureOf(failed)).code, "INSTANCE_EXITED");
  assert.equal(supervisor.list()[0]?.generation, 6);
});

test("that a server was ready before counts for the first child of another session, too", async (t) => {
  const { supervisor, left } = failing(t);
  const skip = skipper(t);
  await supervisor.ensure(CRASH);
  writeFileSync(left, "1\n");
  const own = supervisor.instance({ ...CRASH, variant: ownVariant() });
  const served = own.ensure();
  await until(() => own.state === "backing-off", "it waits for the next try");
  skip(1_300);
  assert.equal((await served).generation, 2);
});

test("a wait longer than startTimeout is refused at once, with the time after which to come back", async (t) => {
  const skip = skipper(t);
  const more = { startTimeout: "2s" };
  const { supervisor } = openSupervisor(t, { crash: fixture("crash-on-start", [], more) });
  // The fourth wait is 8 s, a fifth more or less.
  for (let failure = 1; failure <= 4; failure++) {
    if (failure > 1) skip(100_000);
    await failureOf(supervisor.ensure(CRASH));
  }
  const refusal = await failureOf(supervisor.ensure(CRASH));
  assert.equal(refusal.code, "INSTANCE_BACKING_OFF");
  assert.ok(refusal.retryAfterSeconds! > 2 && refusal.retryAfterSeconds! <= 10);
  assert.equal(supervisor.list()[0]?.generation, 4);
});

test("who waits longer than startTimeout behind others that fail is told so, and stays known for its own failure", async (t) => {
  const skip = skipper(t);
  const { supervisor } = openSupervisor(t, {
    never: fixture("never-ready", [], { startTimeout: "2s" }),
    crash: fixture("crash-on-start", [], { startTimeout: "500ms" }),
  });
  const NEVER = ref("bob", "never");
  await failureOf(supervisor.ensure(NEVER));
  // On a busy machine it may be its timeout.
  await failureOf(supervisor.ensure(CRASH));
  const stateOf = ({ user }: { user: string }) =>
    supervisor.list().find((row) => row.user === user)!;
  const areBoth = (state: string) => [NEVER, CRASH].every((one) => stateOf(one).state === state);
  await until(() => areBoth("backing-off"), "both back off");
  const { reason } = stateOf(CRASH);
  assert.ok(reason !== null);
  skip(100_000);
  const first = failureOf(supervisor.ensure(NEVER));
  await until(() => stateOf(NEVER).state === "starting", "the other one has its turn");
  const refusal = await failureOf(supervisor.ensure(CRASH));
  assert.deepEqual([refusal.code, refusal.retryAfterSeconds], ["INSTANCE_BACKING_OFF", 1]);
  assert.match(refusal.message, /^alice\/crash: .*one at a time/);
  const after = stateOf(CRASH);
  assert.deepEqual([after.state, after.reason, after.failures], ["backing-off", reason, 1]);
  assert.equal((await first).code, "INSTANCE_START_TIMEOUT");
});

test("ten failures park the instance, whose messages are answered at once with the last exit", async (t) => {
  const skip = skipper(t);
  const { supervisor, logged } = openSupervisor(t, { crash: fixture("crash-on-start") });
  for (let failure = 1; failure <= 10; failure++) {
    assert.equal((await failureOf(supervisor.ensure(CRASH))).code, "INSTANCE_EXITED");
    if (failure < 10) skip(100_000);
  }
  const refusal = await failureOf(supervisor.ensure(CRASH));
  assert.equal(refusal.code, "INSTANCE_BACKING_OFF");
  assert.equal(refusal.status, 503);
  assert.match(refusal.message, /exited with code 3 before it was ready \(10 failures in a row\)/);
  await until(() => supervisor.list()[0]?.state === "parked", "it is parked");
  const row = supervisor.list()[0]!;
  assert.equal(row.reason, "exited with code 3 before it was ready");
  assert.deepEqual([row.restarts, row.failures], [9, 10]);
  assert.ok(row.retryAt! > Date.now() + 290_000);
  assert.deepEqual([...supervisor.failingServers()], ["crash"]);
  assert.equal(logged.filter(({ message }) => /parked/.test(String(message))).length, 1);

  skip(5 * 60_000);
  assert.equal((await failureOf(supervisor.ensure(CRASH))).code, "INSTANCE_EXITED");
  assert.equal((await failureOf(supervisor.ensure(CRASH))).code, "INSTANCE_BACKING_OFF");

  await until(() => supervisor.list()[0]?.state === "parked", "it is parked again");
  supervisor.forgive({ user: "alice" });
  assert.equal(supervisor.list()[0]?.state, "stopped");
  assert.equal(supervisor.list()[0]?.failures, 0);
  assert.equal((await failureOf(supervisor.ensure(CRASH))).code, "INSTANCE_EXITED");
  await until(() => supervisor.list()[0]?.state === "backing-off", "the count began anew");
});

test("a parked instance refuses without a start, and without waiting for any time to pass", async (t) => {
  const skip = skipper(t);
  const { supervisor } = openSupervisor(t, { crash: fixture("crash-on-start") });
  for (let failure = 1; failure <= 10; failure++) {
    await failureOf(supervisor.ensure(CRASH));
    if (failure < 10) skip(100_000);
  }
  await until(() => supervisor.list()[0]?.state === "parked", "it is parked");
  // No timer fires from here on, and the clock stands.
  const now = performance.now();
  t.mock.method(performance, "now", () => now);
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const states: string[] = [];
  supervisor.events.on("state", ({ state }) => states.push(state));
  const refusals: SupervisorError[] = [];
  for (let message = 0; message < 3; message++)
    supervisor.ensure(CRASH).catch((refusal: SupervisorError) => refusals.push(refusal));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(refusals.length, 3, "answered within the turn");
  for (const { code, message, retryAfterSeconds } of refusals) {
    assert.equal(code, "INSTANCE_BACKING_OFF");
    assert.match(
      message,
      /exited with code 3 before it was ready \(10 failures in a row\); parked/,
    );
    assert.match(message, /a restart by an admin, a new token or config, or by a message in \d+ s/);
    assert.ok(retryAfterSeconds! > 290 && retryAfterSeconds! <= 300);
  }
  assert.deepEqual(states, [], "nothing was started");
  assert.equal(supervisor.list()[0]?.generation, 10);
  t.mock.timers.reset();
});

test("a restart lets those who wait go on at once, a stop ends their wait", async (t) => {
  const { supervisor } = openSupervisor(t, { crash: fixture("crash-on-start") });
  const fail = async () => {
    await failureOf(supervisor.ensure(CRASH));
    await until(() => supervisor.list()[0]?.state === "backing-off", "it backs off");
  };
  await fail();
  await fail();
  const restarted = failureOf(supervisor.ensure(CRASH));
  await supervisor.restart(CRASH, "restarted by an admin");
  assert.equal((await restarted).code, "INSTANCE_EXITED");
  // One failure, and not three, is held against it now.
  await until(() => supervisor.list()[0]?.state === "backing-off", "it backs off");
  assert.ok(supervisor.list()[0]!.retryAt! - Date.now() < 1_300);

  await fail();
  const stopped = failureOf(supervisor.ensure(CRASH));
  await supervisor.stop(CRASH, "stopped by an admin");
  assert.match((await stopped).message, /stopped by an admin$/);
  assert.equal(supervisor.list()[0]?.state, "stopped");
  assert.equal(supervisor.list()[0]?.reason, "stopped by an admin");
});

test("a child that answered a call, or lived for ten seconds, restarts on the next message at once", async (t) => {
  const skip = skipper(t);
  const { supervisor } = openSupervisor(t, { echo: fixture("echo-sse") });
  const echo = ref("alice", "echo");
  const die = async () => {
    const { pid, exited } = await supervisor.ensure(echo);
    process.kill(pid!, "SIGKILL");
    await exited;
  };
  await supervisor.ensure(echo);
  supervisor.instance(echo).usage.answered += 1;
  await die();
  await until(() => supervisor.list()[0]?.state === "stopped", "no backing off");
  await supervisor.ensure(echo);
  skip(10_000);
  await die();
  await until(() => supervisor.list()[0]?.state === "stopped", "no backing off");
  // The same end without either is a failure.
  await die();
  await until(() => supervisor.list()[0]?.state === "backing-off", "it backs off");
  assert.equal(supervisor.list()[0]?.restarts, 2);
});

test("a child that fails does not count among the user's children", async (t) => {
  const servers = { crash: fixture("crash-on-start"), echo: fixture("echo-sse") };
  const { supervisor } = openSupervisor(t, servers, { limits: { childrenPerUser: 1 } });
  await failureOf(supervisor.ensure(CRASH));
  await until(() => supervisor.list()[0]?.state === "backing-off", "it backs off");
  await supervisor.ensure(ref("alice", "echo"));
});
