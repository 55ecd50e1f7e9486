// etcd, and what Kubernetes is without its nodes.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kubeconfigOf, pki } from "./certificates.mjs";
import { API, BIN, CONTROL_PLANE, LOGS, POD_RANGE, RUN, SERVICE_RANGE } from "./places.mjs";
import { inHost, requireAlive, start, until } from "./processes.mjs";

const ETCD = "http://127.0.0.1:2379";
export const ETCD_DATA = join(RUN, "etcd");
/** Every request about a Pod or a Secret with all that is in it, so that a test can look for what must not be. */
export const AUDIT_LOG = join(LOGS, "audit.log");
const AUDIT_POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [
    { level: "RequestResponse", resources: [{ group: "", resources: ["pods", "secrets"] }] },
    { level: "None" },
  ],
};

const inControlPlane = (name, argv) =>
  start(name, { namespace: CONTROL_PLANE.namespace, argv: [join(BIN, argv[0]), ...argv.slice(1)] });

function startEtcd() {
  mkdirSync(ETCD_DATA, { recursive: true, mode: 0o700 });
  const urls = ["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD];
  const peers = ["--listen-peer-urls", "http://127.0.0.1:2380"];
  // A cluster that is gone in a minute need not outlive a loss of power.
  const flags = ["--unsafe-no-fsync", "--log-level", "warn"];
  inControlPlane("etcd", ["etcd", "--data-dir", ETCD_DATA, ...urls, ...peers, ...flags]);
}

function startApiserver() {
  const policy = join(RUN, "audit-policy.json");
  writeFileSync(policy, JSON.stringify(AUDIT_POLICY));
  const flags = {
    "etcd-servers": ETCD,
    "advertise-address": CONTROL_PLANE.address,
    "bind-address": CONTROL_PLANE.address,
    "secure-port": 6443,
    "tls-cert-file": pki("apiserver.crt"),
    "tls-private-key-file": pki("apiserver.key"),
    "client-ca-file": pki("ca.crt"),
    "kubelet-client-certificate": pki("kubelet-client.crt"),
    "kubelet-client-key": pki("kubelet-client.key"),
    "kubelet-certificate-authority": pki("ca.crt"),
    "kubelet-preferred-address-types": "InternalIP",
    "service-account-issuer": "https://kubernetes.default.svc",
    "service-account-key-file": pki("accounts.pub"),
    "service-account-signing-key-file": pki("accounts.key"),
    "service-cluster-ip-range": SERVICE_RANGE,
    "authorization-mode": "Node,RBAC",
    "enable-admission-plugins": "NodeRestriction",
    "audit-policy-file": policy,
    "audit-log-path": AUDIT_LOG,
    profiling: false,
  };
  inControlPlane("apiserver", ["kube-apiserver", ...flagsOf(flags)]);
}

const flagsOf = (flags) => Object.entries(flags).map(([name, value]) => `--${name}=${value}`);

function startControllers() {
  const flags = {
    kubeconfig: kubeconfigOf("controller-manager"),
    "service-account-private-key-file": pki("accounts.key"),
    "root-ca-file": pki("ca.crt"),
    "use-service-account-credentials": true,
    "leader-elect": false,
    "cluster-cidr": POD_RANGE,
    // A lost node is noticed in 16 s in place of 50.
    "node-monitor-grace-period": "16s",
    "node-monitor-period": "2s",
    profiling: false,
  };
  inControlPlane("controller-manager", ["kube-controller-manager", ...flagsOf(flags)]);
  const scheduler = { kubeconfig: kubeconfigOf("scheduler"), "leader-elect": false };
  inControlPlane("scheduler", ["kube-scheduler", ...flagsOf(scheduler)]);
}

/** What the apiserver answers to the admin; null where there is no answer. */
export function ask(path) {
  const identity = [
    "--cacert",
    pki("ca.crt"),
    "--cert",
    pki("admin.crt"),
    "--key",
    pki("admin.key"),
  ];
  try {
    return inHost(CONTROL_PLANE, ["curl", "-sf", "-m", "5", ...identity, `${API}${path}`]);
  } catch {
    return null;
  }
}

export async function startControlPlane() {
  startEtcd();
  startApiserver();
  await until(() => {
    requireAlive("etcd");
    requireAlive("apiserver");
    return ask("/readyz") === "ok";
  }, "the apiserver is ready");
  startControllers();
}
