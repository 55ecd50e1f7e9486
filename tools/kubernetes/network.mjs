// The hosts of the cluster: network namespaces that are plugged to one switch, with no way out of this machine.
import { existsSync } from "node:fs";
import {
  CONTROL_PLANE,
  HOSTS,
  NODES,
  OUTSIDE,
  PUBLIC_ADDRESS,
  SERVICE_RANGE,
  SWITCH,
  namespaceFile,
} from "./places.mjs";
import { run } from "./processes.mjs";

const ip = (...args) => run("ip", args);
const inside = (namespace, ...args) => ip("-n", namespace, ...args);
const plugOf = (name) => `plug-${name}`;

function makeHost({ name, namespace, address }) {
  ip("netns", "add", namespace);
  inside(namespace, "link", "set", "lo", "up");
  ip(
    "link",
    "add",
    plugOf(name),
    "netns",
    SWITCH,
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    namespace,
  );
  inside(SWITCH, "link", "set", plugOf(name), "master", "switch", "up");
  inside(namespace, "addr", "add", `${address}/24`, "dev", "eth0");
  inside(namespace, "link", "set", "eth0", "up");
  run("nsenter", [`--net=${namespaceFile(namespace)}`, "sysctl", "-qw", "net.ipv4.ip_forward=1"]);
}

/** Pods have addresses of their own, which every host knows the way to. */
function makeRoutes({ name, namespace }) {
  for (const node of NODES)
    if (node.name !== name) inside(namespace, "route", "add", node.pods, "via", node.address);
  if (name !== OUTSIDE.name) inside(namespace, "route", "add", "default", "via", OUTSIDE.address);
}

export function makeNetwork() {
  ip("netns", "add", SWITCH);
  inside(SWITCH, "link", "add", "switch", "type", "bridge");
  inside(SWITCH, "link", "set", "switch", "up");
  for (const host of [...HOSTS, OUTSIDE]) makeHost(host);
  for (const host of [...HOSTS, OUTSIDE]) makeRoutes(host);
  inside(OUTSIDE.namespace, "addr", "add", `${PUBLIC_ADDRESS}/32`, "dev", "lo");
  // Who asks for a service there by mistake is refused, not sent to the outside.
  inside(CONTROL_PLANE.namespace, "route", "add", "unreachable", SERVICE_RANGE);
}

/** Takes the plug of a host out of the switch, or puts it in again. */
export const setPlugged = (name, isPlugged) =>
  inside(SWITCH, "link", "set", plugOf(name), isPlugged ? "up" : "down");

const NAMESPACES = [SWITCH, ...[...HOSTS, OUTSIDE].map(({ namespace }) => namespace)];
export const leftNamespaces = () => NAMESPACES.filter((name) => existsSync(namespaceFile(name)));

export function removeNetwork() {
  for (const name of leftNamespaces()) ip("netns", "del", name);
}
