import assert from "node:assert/strict";
import { test } from "node:test";
import { compareConfigs, applyLive, runAs } from "../../src/config/compare.ts";
import { parseConfig } from "../../src/config/config.ts";
import type { Config } from "../../src/config/config.ts";
import { isPodServer } from "../../src/config/child-servers.ts";
import type { PodServer } from "../../src/config/child-servers.ts";
import { readServerEntry } from "../../src/config/one-server.ts";
import { maySandbox, warningsOf } from "../../src/config/warnings.ts";
import { SupervisorError } from "../../src/errors.ts";

type Entry = Record<string, unknown>;

const CLUSTER = { namespace: "mcp-children", shimImage: "reg.example.com/shim:1" };
const GMAIL = { command: "gmail-mcp", kubernetes: { image: "reg.example.com/gmail:1" } };

/** A config with the server gmail, all of whose servers run as pods. */
const config = (gmail: Entry = GMAIL, more: Entry = {}): Entry => ({
  engine: "kubernetes",
  kubernetes: CLUSTER,
  servers: { gmail },
  ...more,
});

const parsed = (value: unknown): Config => parseConfig(value, "/srv/mcp", { env: {} });

function podIn({ servers }: Config): PodServer {
  const { gmail } = servers;
  assert.ok(gmail !== undefined && isPodServer(gmail));
  return gmail;
}

function problemsOf(value: unknown): readonly string[] {
  try {
    parsed(value);
  } catch (error) {
    assert.ok(error instanceof SupervisorError);
    return error.details;
  }
  return [];
}

test("a server runs as a pod where the config says so, and where it says so itself", () => {
  const local = { command: "x", engine: "process" };
  const both = parsed({ ...config(), defaultServer: null, servers: { gmail: GMAIL, local } });
  assert.deepEqual(Object.values(both.servers).map(isPodServer), [true, false]);
  const own = { ...GMAIL, engine: "kubernetes" };
  assert.ok(podIn(parsed(config(own, { engine: "process" }))).pod);
});

test("what a config does not say of pods takes its default", () => {
  const { kubernetes, servers } = parsed(config());
  const forAll = {
    shimImage: CLUSTER.shimImage,
    pullSecrets: [],
    pullPolicy: null,
    runtimeClass: null,
    nodeSelector: {},
    tolerations: [],
    requests: { memoryBytes: 64 * 2 ** 20, cpu: 0.01 },
    home: null,
    startConcurrency: 16,
    pendingTimeoutMs: 300_000,
    orphanTimeoutMs: 60_000,
    networkPolicy: "proven",
  };
  const connection = { namespace: "mcp-children", kubeconfig: null, context: null, maxPods: 1000 };
  assert.deepEqual(kubernetes, { ...connection, ...forAll, image: null });
  assert.ok(isPodServer(servers["gmail"]!));
  assert.deepEqual(servers["gmail"].pod, { ...forAll, image: GMAIL.kubernetes.image, cwd: null });
  assert.equal(parsed({ servers: { one: { command: "x" } } }).kubernetes, null);
});

test("a server's own block has the last word on all but the connection and the number of pods", () => {
  const forAll = {
    ...CLUSTER,
    image: "reg.example.com/all:1",
    runtimeClass: "gvisor",
    requests: { memory: "128M" },
    orphanTimeout: "5s",
    nodeSelector: { pool: "mcp" },
    kubeconfig: "kube/config",
  };
  const own = {
    shimImage: "reg.example.com/shim:2",
    image: "reg.example.com/gmail:2",
    pullSecrets: ["registry"],
    pullPolicy: "Never",
    runtimeClass: null,
    nodeSelector: { "kubernetes.io/arch": "arm64" },
    tolerations: [{ key: "mcp", operator: "Exists", effect: "NoSchedule" }],
    requests: { cpu: 0.5 },
    home: { size: "1G", storageClass: "fast" },
    startConcurrency: 2,
    pendingTimeout: "1m",
    orphanTimeout: "30s",
    networkPolicy: "assumed",
  };
  const config1 = parsed(
    config({ command: "x", cwd: "app", kubernetes: own }, { kubernetes: forAll }),
  );
  const { pod, overlap } = podIn(config1);
  const { pendingTimeout: _p, orphanTimeout: _o, ...same } = own;
  assert.deepEqual(pod, {
    ...same,
    requests: { memoryBytes: 128 * 2 ** 20, cpu: 0.5 },
    home: { sizeBytes: 2 ** 30, storageClass: "fast" },
    pendingTimeoutMs: 60_000,
    orphanTimeoutMs: 30_000,
    cwd: "app",
  });
  // One volume, and two pods that would write to it.
  assert.equal(overlap, false);
  assert.equal(config1.kubernetes?.kubeconfig, "/srv/mcp/kube/config");
  for (const key of ["namespace", "kubeconfig", "context", "maxPods"])
    assert.deepEqual(problemsOf(config({ ...GMAIL, kubernetes: { ...own, [key]: 1 } })), [
      `servers.gmail.kubernetes.${key}: is not a known key`,
    ]);
});

test("a pod asks for no more than it may have", () => {
  const { pod } = podIn(parsed(config({ ...GMAIL, limits: { memory: "32M", cpu: 0.005 } })));
  assert.deepEqual(pod.requests, { memoryBytes: 32 * 2 ** 20, cpu: 0.005 });
});

test("what has no meaning in a pod is refused, with what to do instead", () => {
  const cases: [Entry, string, RegExp][] = [
    [{ kubernetes: {} }, "kubernetes.image", /^is missing: a pod is made of an image/],
    [{ reach: [8030] }, "reach", /network policy of the cluster/],
    [{ paths: { read: ["/x"] } }, "paths", /belongs into its image/],
    [{ tokenFile: true }, "tokenFile", /in the environment/],
    [{ isolation: "sandbox" }, "isolation", /"runtimeClass" says which/],
    [{ limits: { pids: 10 } }, "limits.pids", /podPidsLimit/],
    [{ command: "data/servers/gmail/1/run" }, "command", /^is what `package install` fetched/],
    [{ args: ["-m", "/srv/mcp/data/servers/gmail/1"] }, "args[1]", /^is what `package install`/],
    [{ url: "http://x/mcp" }, "url", /cannot stand beside "command"/],
  ];
  for (const [more, place, why] of cases) {
    const problems = problemsOf(config({ ...GMAIL, ...more }));
    assert.equal(problems.length, 1, problems.join("\n"));
    assert.ok(problems[0]!.startsWith(`servers.gmail.${place}: `), problems[0]);
    assert.match(problems[0]!.slice(problems[0]!.indexOf(": ") + 2), why);
  }
  const nothing = { reach: [], paths: { read: [] }, tokenFile: false, isolation: "auto" };
  assert.deepEqual(problemsOf(config({ ...GMAIL, ...nothing })), []);
});

test("a port that is pinned to pods is refused", () => {
  const pinned = { ports: { pin: { "alice/gmail": 8841 } } };
  assert.deepEqual(problemsOf(config({ ...GMAIL, type: "http" }, pinned)), [
    'ports.pin["alice/gmail"]: names a server that runs in pods, which have no port here',
  ]);
});

test("a name that no label can have is refused for pods alone", () => {
  const servers = { "gmail-": GMAIL };
  assert.deepEqual(problemsOf({ ...config(), servers }), [
    "servers.gmail-: must have a name that ends in a letter or digit: it is a label of its pods",
  ]);
  assert.deepEqual(problemsOf({ servers: { "gmail-": { command: "x" } } }), []);
});

test("pods want a cluster, and a block of pods wants pods", () => {
  const { kubernetes: _none, ...nowhere } = config();
  assert.deepEqual(problemsOf(nowhere), [
    'kubernetes: is missing, and "engine": "kubernetes" needs its "namespace" and "shimImage"',
  ]);
  assert.deepEqual(problemsOf({ servers: { gmail: { ...GMAIL, engine: "kubernetes" } } }), [
    'servers.gmail.engine: needs "kubernetes" in the config, with a "namespace" and a "shimImage"',
  ]);
  assert.deepEqual(problemsOf({ servers: { gmail: GMAIL } }), [
    'servers.gmail.kubernetes: is of no use without "engine": "kubernetes"',
  ]);
  assert.deepEqual(problemsOf(config(GMAIL, { kubernetes: {} })), [
    "kubernetes.namespace: is missing",
    "kubernetes.shimImage: is missing",
  ]);
  assert.deepEqual(problemsOf(config(GMAIL, { kubernetes: { ...CLUSTER, orphanTimeout: "4s" } })), [
    "kubernetes.orphanTimeout: must be at least 5s",
  ]);
});

test("a server that comes over the control API is judged as one of the file", () => {
  const under = parsed(config());
  const read = (entry: Entry) => readServerEntry("mail", entry, under);
  assert.deepEqual(read({ command: "x" }), {
    problems: ["kubernetes.image: is missing: a pod is made of an image with the server in it"],
  });
  const found = read(GMAIL);
  assert.ok("def" in found && isPodServer(found.def));
  assert.equal(found.def.pod.shimImage, CLUSTER.shimImage);
  assert.deepEqual(read({ ...GMAIL, command: "/srv/mcp/data/servers/gmail/run" }), {
    problems: [
      "command: is what `package install` fetched to this machine, and the server runs in pods: it belongs into an image",
    ],
  });
});

test("another cluster takes a restart, and what pods are made by does not", () => {
  const before = parsed(config());
  const change = (more: Entry): Config =>
    parsed(config(GMAIL, { kubernetes: { ...CLUSTER, ...more } }));
  assert.deepEqual(compareConfigs(before, change({ namespace: "other" })).needsRestart, [
    "kubernetes.namespace",
  ]);
  assert.deepEqual(compareConfigs(before, { ...before, kubernetes: null }).needsRestart, [
    "kubernetes",
  ]);
  const after = change({ maxPods: 5, orphanTimeout: "10s", startConcurrency: 1 });
  const { needsRestart, changed } = compareConfigs(before, after);
  assert.deepEqual([needsRestart, changed], [["kubernetes.startConcurrency"], ["gmail"]]);
  applyLive(before, after);
  assert.deepEqual([before.kubernetes?.maxPods, before.kubernetes?.startConcurrency], [5, 16]);
});

test("a child goes on where only how its next pods are waited for has changed", () => {
  const def = podIn(parsed(config()));
  const otherwise = (more: Entry): object =>
    runAs(podIn(parsed(config({ ...GMAIL, kubernetes: { ...GMAIL.kubernetes, ...more } }))));
  assert.deepEqual(otherwise({ pendingTimeout: "1h", startConcurrency: 1 }), runAs(def));
  assert.notDeepEqual(otherwise({ orphanTimeout: "1h" }), runAs(def));
});

test("what a pod calls on localhost is warned of", () => {
  const env = { API: "http://localhost:8031" };
  assert.deepEqual(warningsOf(parsed(config({ ...GMAIL, env })), maySandbox), [
    "servers.gmail.env.API: names port 8031 of localhost: in a pod that is the pod itself; name the service by an address that pods reach",
  ]);
});
