// A node: containerd with runc, a kubelet, and what makes services and network policies true there.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CGROUP, BIN, NODES, PAUSE_IMAGE, POD_RANGE, RUN, SERVICE_RANGE } from "./places.mjs";
import { kubeconfigOf, pki } from "./certificates.mjs";
import { ask } from "./control-plane.mjs";
import { inHost, requireAlive, run, start, until } from "./processes.mjs";
import { CNI } from "./programs.mjs";

const folderOf = ({ name }, ...rest) => join(RUN, name, ...rest);
export const socketOf = (node) => folderOf(node, "containerd.sock");
/** Whose mounts the other programs of the node share. */
export const runtimeOf = ({ name }) => `containerd-${name}`;

/** Folders of the machine that programs write to and cannot be told not to: each node has its own. */
const OWN_FOLDERS = ["/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods"];

const containerdConfig = (node) => `version = 2
root = "${folderOf(node, "root")}"
state = "${folderOf(node, "state")}"
[grpc]
  address = "${socketOf(node)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  # Root may lack CAP_SYS_RESOURCE, as in a container.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI}"
    conf_dir = "${folderOf(node, "cni")}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.internal.v1.opt"]
  path = "${folderOf(node, "opt")}"
`;

/** Pods are routed to and not bridged, so that all that they send passes the node's filter. */
const networkConfig = (node) => ({
  cniVersion: "1.0.0",
  name: "pods",
  plugins: [
    {
      type: "ptp",
      ipMasq: false,
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: node.pods }]],
        routes: [{ dst: "0.0.0.0/0" }],
        dataDir: folderOf(node, "addresses"),
      },
    },
  ],
});

const kubeletConfig = (node) => ({
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  address: node.address,
  authentication: {
    anonymous: { enabled: false },
    webhook: { enabled: true },
    x509: { clientCAFile: pki("ca.crt") },
  },
  authorization: { mode: "Webhook" },
  tlsCertFile: pki(`${node.name}.crt`),
  tlsPrivateKeyFile: pki(`${node.name}.key`),
  containerRuntimeEndpoint: `unix://${socketOf(node)}`,
  cgroupDriver: "cgroupfs",
  cgroupRoot: `/${CGROUP}/${node.name}`,
  enforceNodeAllocatable: [],
  failCgroupV1: false,
  failSwapOn: false,
  localStorageCapacityIsolation: false,
  evictionHard: { "memory.available": "100Mi" },
  imageGCHighThresholdPercent: 100,
  maxPods: 500,
  podLogsDir: folderOf(node, "pod-logs"),
  volumePluginDir: folderOf(node, "volume-plugins"),
  resolvConf: "",
  nodeStatusUpdateFrequency: "2s",
  healthzPort: 0,
  makeIPTablesUtilChains: false,
});

async function startContainerd(node) {
  for (const folder of ["cni", ...OWN_FOLDERS])
    mkdirSync(folderOf(node, folder), { recursive: true });
  writeFileSync(folderOf(node, "containerd.toml"), containerdConfig(node));
  writeFileSync(folderOf(node, "cni", "10-pods.conflist"), JSON.stringify(networkConfig(node)));
  const binds = OWN_FOLDERS.map(
    (folder) => `mkdir -p ${folder} && mount --bind ${folderOf(node, folder)} ${folder}`,
  );
  const containerd = `exec containerd --config ${folderOf(node, "containerd.toml")}`;
  start(runtimeOf(node), {
    namespace: node.namespace,
    mounts: "own",
    argv: ["sh", "-c", [...binds, containerd].join(" && ")],
  });
  await until(() => {
    requireAlive(runtimeOf(node));
    try {
      run("ctr", ["-a", socketOf(node), "version"]);
      return true;
    } catch {
      return false;
    }
  }, `${node.name} runs containers`);
}

export function load(node, file) {
  run("ctr", ["-a", socketOf(node), "-n", "k8s.io", "image", "import", file]);
}

function startKubelet(node) {
  writeFileSync(folderOf(node, "kubelet.json"), JSON.stringify(kubeletConfig(node)));
  const flags = {
    config: folderOf(node, "kubelet.json"),
    kubeconfig: kubeconfigOf(node.name),
    "hostname-override": node.name,
    "node-ip": node.address,
    "root-dir": folderOf(node, "kubelet"),
    "cert-dir": folderOf(node, "kubelet", "pki"),
  };
  startBeside(node, "kubelet", flags);
}

function startServices(node) {
  startBeside(node, "kube-proxy", {
    kubeconfig: kubeconfigOf("proxy"),
    "hostname-override": node.name,
    "cluster-cidr": POD_RANGE,
    "conntrack-max-per-core": 0,
    "conntrack-tcp-timeout-established": "0s",
    "conntrack-tcp-timeout-close-wait": "0s",
    "healthz-bind-address": "127.0.0.1:10256",
  });
}

/** From now on pods are held to network policies, by the agent that k3s has in it as well. */
export function enforcePolicies() {
  for (const node of NODES)
    startBeside(node, "kube-router", {
      kubeconfig: kubeconfigOf("admin"),
      "hostname-override": node.name,
      "run-firewall": true,
      "run-router": false,
      "run-service-proxy": false,
      "service-cluster-ip-range": SERVICE_RANGE,
    });
}

function startBeside(node, program, flags) {
  const argv = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  start(`${program}-${node.name}`, {
    namespace: node.namespace,
    mounts: runtimeOf(node),
    argv: [join(BIN, program), ...argv],
  });
}

const readyNodes = () =>
  JSON.parse(ask("/api/v1/nodes") ?? '{"items":[]}').items.filter(({ status }) =>
    status.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True"),
  ).length;

export async function startNodes(pauseArchive) {
  await Promise.all(
    NODES.map(async (node) => {
      await startContainerd(node);
      load(node, pauseArchive);
      startKubelet(node);
      startServices(node);
    }),
  );
  await until(() => {
    for (const node of NODES) requireAlive(`kubelet-${node.name}`);
    return readyNodes() === NODES.length;
  }, "all nodes are ready");
}

/** A command of a node that sees what its pods are made of. */
export const onNode = (node, argv, options) =>
  inHost({ namespace: node.namespace, mounts: runtimeOf(node) }, argv, options);
