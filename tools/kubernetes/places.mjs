// Where the cluster for tests lies, and what it is made of. Nothing outside of these places is touched.
import { homedir } from "node:os";
import { join } from "node:path";

export const VERSIONS = {
  kubernetes: "v1.34.4",
  etcd: "v3.6.13",
  "kube-router": "v2.1.0",
};

/** What outlives a cluster: the programs, and the sources and objects that they are built from. */
export const CACHE =
  process.env.MCP_SUPERVISOR_KUBERNETES ?? join(homedir(), ".cache", "mcp-supervisor-kubernetes");
export const BIN = join(CACHE, "bin");
/** What goes with the cluster: state, logs, keys. Paths of sockets in it must stay below 108 bytes. */
export const RUN = join(CACHE, "run");
export const LOGS = join(RUN, "logs");
export const KUBECONFIG = join(RUN, "admin.conf");

/** The name of its cgroup in every hierarchy. All its processes are below it, so they can be told from all others. */
export const CGROUP = "mcps-kubernetes";

/** A switch, to which three hosts are plugged: the control plane, where the gateway under test runs too, and two nodes. */
export const SWITCH = "mcps-sw";
export const CONTROL_PLANE = { name: "cp", namespace: "mcps-cp", address: "10.231.0.1" };
export const NODES = [
  { name: "n1", namespace: "mcps-n1", address: "10.231.0.11", pods: "10.232.1.0/24" },
  { name: "n2", namespace: "mcps-n2", address: "10.231.0.12", pods: "10.232.2.0/24" },
];
export const HOSTS = [CONTROL_PLANE, ...NODES];
/** Stands for a host of the internet: an address that is in no private range. */
export const OUTSIDE = { name: "out", namespace: "mcps-out", address: "10.231.0.254" };
export const PUBLIC_ADDRESS = "198.51.100.1";
export const POD_RANGE = "10.232.0.0/16";
export const SERVICE_RANGE = "10.233.0.0/24";
/** The service `kubernetes`, as pods find the apiserver. */
export const SERVICE_ADDRESS = "10.233.0.1";
export const API = `https://${CONTROL_PLANE.address}:6443`;

/** Image of the container that holds a pod's namespaces. */
export const PAUSE_IMAGE = "localhost/mcps/pause:test";

export const namespaceFile = (namespace) => `/run/netns/${namespace}`;
