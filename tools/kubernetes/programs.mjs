// The programs of the machine that a cluster is made with.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** What brings each program on Debian. */
const PACKAGES = {
  go: "golang (1.24 or newer)",
  containerd: "containerd",
  ctr: "containerd",
  runc: "runc",
  nsenter: "util-linux",
  ip: "iproute2",
  iptables: "iptables",
  ipset: "ipset",
  openssl: "openssl",
};
export const CNI = "/usr/lib/cni";
const PATH = `${process.env.PATH}${delimiter}/usr/sbin${delimiter}/sbin`;

const isThere = (file) => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};
const isInstalled = (name) => PATH.split(delimiter).some((folder) => isThere(join(folder, name)));

/** Why no cluster can be made here, in one sentence; null where it can. */
export function whyNoCluster() {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return "only root on Linux can make a cluster";
  const programs = Object.keys(PACKAGES).filter((name) => name !== "go");
  const missing = programs.filter((name) => !isInstalled(name)).map((name) => PACKAGES[name]);
  if (!isThere(join(CNI, "ptp"))) missing.push("containernetworking-plugins");
  return missing.length === 0
    ? null
    : `not installed: ${[...new Set(missing)].join(", ")} (apt-get install brings it)`;
}

export function requirePrograms(names) {
  const missing = names.filter((name) => !isInstalled(name)).map((name) => PACKAGES[name]);
  if (missing.length > 0) throw new Error(`not installed: ${missing.join(", ")}`);
}
