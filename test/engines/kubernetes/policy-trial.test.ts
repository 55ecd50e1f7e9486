import assert from "node:assert/strict";
import { test } from "node:test";
import { isPodServer } from "../../../src/config/child-servers.ts";
import { parseConfig } from "../../../src/config/config.ts";
import type { Call } from "../../../src/engines/kubernetes/api/client.ts";
import { NetworkEnforcement } from "../../../src/engines/kubernetes/enforcement.ts";
import { ApiFailure } from "../../../src/engines/kubernetes/api/failure.ts";
import { PolicyTrial } from "../../../src/engines/kubernetes/policy-trial.ts";

const never = new AbortController().signal;
const CLUSTER = { namespace: "mcps", shimImage: "shim:1", nodeSelector: { pool: "mcp" } };
const { kubernetes } = parseConfig({ kubernetes: CLUSTER }, "/srv");
const OPTIONS = { namespace: "mcps", installation: "0a", recipe: kubernetes!, signal: never };

/** A cluster in which a pod's try ends with that exit code; null for one that never runs. */
function cluster(codes: { connected: number | null; blocked: number | null }) {
  const made = new Map<string, "connected" | "blocked">();
  const labels: Record<string, object> = {};
  const ask = async <T>({ method, path, body }: Call): Promise<T> => {
    await Promise.resolve();
    if (method === "POST") {
      const { metadata, spec } = body as {
        metadata: { name: string; labels: object };
        spec: { containers: { command: string[] }[] };
      };
      const what = spec.containers[0]!.command[2] === "--until=blocked" ? "blocked" : "connected";
      made.set(metadata.name, what);
      labels[what] = metadata.labels;
      return body as T;
    }
    const name = path.split("/").at(-1)!;
    // All that there is of this role.
    if (name === "pods")
      return { items: [...made.keys()].map((one) => ({ metadata: { name: one } })) } as T;
    const what = made.get(name);
    if (what === undefined) throw new ApiFailure("there is no such pod", { status: 404 });
    if (method === "DELETE") {
      made.delete(name);
      return {} as T;
    }
    const exitCode = codes[what];
    if (exitCode === null) return { status: { phase: "Pending" } } as T;
    const phase = exitCode === 0 ? "Succeeded" : "Failed";
    const containerStatuses = [{ name: "trial", state: { terminated: { exitCode } } }];
    return { status: { phase, containerStatuses } } as T;
  };
  const trial = new PolicyTrial({ ...OPTIONS, client: { ask }, lookMs: 0, patienceMs: 20 });
  return { trial, made, labels, codes };
}

test("policies are enforced where who may reach nothing does not, and another one does", async () => {
  const { trial, made, labels } = cluster({ connected: 0, blocked: 0 });
  assert.equal(trial.last, "unknown");
  assert.equal(await trial.verdict(never), "enforced");
  assert.equal(made.size, 0, "the pods are gone");
  const own = { "mcp-supervisor/installation": "0a", "mcp-supervisor/role": "trial" };
  assert.deepEqual(labels, {
    connected: own,
    blocked: { ...own, "mcp-supervisor/network": "none" },
  });
});

test("a cluster that lets it through is known as open, and is asked once", async () => {
  const { trial, codes } = cluster({ connected: 0, blocked: 1 });
  assert.equal(await trial.verdict(never), "open");
  codes.blocked = 0;
  assert.deepEqual([await trial.verdict(never), trial.last], ["open", "open"]);
});

test("where nobody gets through, or nobody runs, nothing is known, and the next who asks tries again", async () => {
  for (const codes of [
    { connected: 1, blocked: 0 },
    { connected: 0, blocked: 137 },
    { connected: null, blocked: 0 },
    { connected: 0, blocked: null },
  ]) {
    const { trial, made } = cluster(codes);
    assert.equal(await trial.verdict(never), "unknown");
    assert.equal(made.size, 0);
  }
  const { trial, codes } = cluster({ connected: 1, blocked: 0 });
  assert.equal(await trial.verdict(never), "unknown");
  codes.connected = 0;
  assert.equal(await trial.verdict(never), "enforced");
});

test("two who ask at once share a trial, and a refusal reaches both", async () => {
  const { trial, labels } = cluster({ connected: 0, blocked: 0 });
  const both = await Promise.all([trial.verdict(never), trial.verdict(never)]);
  assert.deepEqual(both, ["enforced", "enforced"]);
  assert.equal(Object.keys(labels).length, 2);
  const refusal = new ApiFailure("forbidden", { status: 403 });
  const client = { ask: () => Promise.reject(refusal) };
  await assert.rejects(new PolicyTrial({ ...OPTIONS, client }).verdict(never), refusal);
});

test("what a trial has left that was cut short goes with the next one", async () => {
  const { trial, made } = cluster({ connected: 0, blocked: 0 });
  made.set("mcps-trial-old", "blocked");
  await trial.verdict(never);
  assert.equal(made.size, 0);
});

test("who does not wait any longer leaves the trial to the others", async () => {
  const { trial } = cluster({ connected: 0, blocked: 0 });
  const leaving = new AbortController();
  const [left, stays] = [trial.verdict(leaving.signal), trial.verdict(never)];
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  assert.equal(await stays, "enforced");
  await trial.settled();
});

function serverWith(network: string, networkPolicy: string) {
  const mail = {
    command: "x",
    engine: "kubernetes",
    network,
    kubernetes: { networkPolicy, image: "x" },
  };
  const def = parseConfig({ kubernetes: CLUSTER, servers: { mail } }, "/srv").servers["mail"]!;
  assert.ok(isPodServer(def));
  return def;
}
const ALICE = { user: "alice", server: "mail", variant: "" };

test("a server that may reach nothing runs where that is enforced, or where somebody vouches for it", async () => {
  const found = (verdict: "enforced" | "open" | "unknown") =>
    new NetworkEnforcement({ verdict: () => Promise.resolve(verdict), last: verdict });
  const none = serverWith("none", "proven");
  await found("enforced").require(ALICE, none, never);
  await found("open").require(ALICE, serverWith("none", "assumed"), never);
  await found("open").require(ALICE, serverWith("full", "proven"), never);
  const why = {
    open: /mail: its "network": "none" cannot be had, for this cluster enforces no network policies/,
    unknown: /could not be found out; .*"networkPolicy": "assumed"/,
  };
  for (const verdict of ["open", "unknown"] as const)
    await assert.rejects(found(verdict).require(ALICE, none, never), {
      code: "ISOLATION_UNAVAILABLE",
      message: why[verdict],
    });
});

test("an open cluster is warned of once, and one that cannot be asked is asked again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const answers = ["away", "open"];
  const warned: string[] = [];
  const verdict = () =>
    answers.shift() === "away"
      ? Promise.reject(new ApiFailure("away"))
      : Promise.resolve("open" as const);
  const log = { warn: (...said: unknown[]) => void warned.push(String(said.at(-1))) };
  const finding = new NetworkEnforcement({ verdict, last: "unknown" }).findOut(never, log);
  await new Promise((resolve) => setImmediate(resolve));
  t.mock.timers.tick(60_000);
  await finding;
  assert.equal(warned.length, 2);
  assert.match(warned[0]!, /could not be found out yet/);
  assert.match(warned[1]!, /enforces no network policies: .*Pods reach each other/);
});
