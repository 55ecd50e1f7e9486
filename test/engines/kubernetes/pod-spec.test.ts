import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../../src/config/config.ts";
import { isPodServer } from "../../../src/config/child-servers.ts";
import { startOrder } from "../../../src/engines/kubernetes/new-pod.ts";
import { keySecret, podSpec } from "../../../src/engines/kubernetes/pod-spec.ts";

const ref = { user: "alice", server: "mail", variant: "" };

function mail(more: object = {}, kubernetes: object = {}) {
  const cluster = { namespace: "mcps", shimImage: "shim:1", image: "mail:1", ...kubernetes };
  const server = { command: "mail", args: ["${user}"], env: { A: "b" }, ...more };
  const settings = { engine: "kubernetes", kubernetes: cluster, servers: { mail: server } };
  const def = parseConfig({ dataDir: "/nowhere", ...settings }, "/nowhere").servers["mail"]!;
  assert.ok(isPodServer(def));
  return def;
}

interface Container {
  securityContext: object;
  resources: { requests: object; limits: object };
  image: string;
  env?: unknown;
}

function podOf(def: ReturnType<typeof mail>, uid?: number) {
  const whose = { name: "mcps-1-g3", installation: "home", ref, generation: 3, def };
  const made = podSpec({ ...whose, recipe: def.pod, uid, homeClaim: undefined });
  return made as {
    metadata: { labels: Record<string, string> };
    spec: Record<string, unknown> & {
      initContainers: [Container];
      containers: [Container];
      securityContext: object;
      volumes: { name: string }[];
    };
  };
}

test("a pod keeps to Pod Security's level restricted, and has no way to the apiserver", () => {
  const { spec } = podOf(mail());
  const containers = [...spec.initContainers, ...spec.containers];
  for (const { securityContext, env } of containers) {
    assert.deepEqual(securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    assert.equal(env, undefined);
  }
  const account = { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } };
  assert.deepEqual(spec.securityContext, account);
  const { restartPolicy, automountServiceAccountToken, enableServiceLinks } = spec;
  assert.deepEqual(
    { restartPolicy, automountServiceAccountToken, enableServiceLinks },
    { restartPolicy: "Never", automountServiceAccountToken: false, enableServiceLinks: false },
  );
});

test("an account, limits and a runtime class are those of the config", () => {
  const def = mail({ limits: { memory: "64M", cpu: 0.5 } }, { runtimeClass: "gvisor" });
  const { spec, metadata } = podOf(def, 70_001);
  const account = { runAsUser: 70_001, runAsGroup: 70_001, fsGroup: 70_001 };
  assert.partialDeepStrictEqual(spec.securityContext, account);
  const [{ resources }] = spec.containers;
  assert.deepEqual(resources.limits, { memory: String(64 * 1024 ** 2), cpu: "500m" });
  assert.deepEqual(spec["runtimeClassName"], "gvisor");
  assert.equal(metadata.labels["mcp-supervisor/network"], "full");
});

test("the token is in the order to the shim, and in nothing that the cluster is given", () => {
  const def = mail();
  const order = startOrder({ ref, def, token: "the-token" }, 1000);
  assert.deepEqual(order.argv, ["mail", "alice"]);
  assert.deepEqual(order.env, {
    HOME: "/home/mcp",
    TMPDIR: "/tmp",
    A: "b",
    USER_ACCESS_TOKEN: "the-token",
  });
  assert.doesNotMatch(JSON.stringify(podOf(def)), /the-token/);
});

test("a Secret belongs to its pod, and goes with it", () => {
  const pod = { name: "mcps-1-g3", uid: "u-1" };
  const secret = keySecret({ pod, installation: "home", files: { "tls.key": "KEY" } });
  assert.partialDeepStrictEqual(secret, {
    immutable: true,
    metadata: { name: pod.name, ownerReferences: [{ kind: "Pod", name: pod.name, uid: "u-1" }] },
    data: { "tls.key": Buffer.from("KEY").toString("base64") },
  });
});
