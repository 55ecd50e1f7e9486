import { readFileSync } from "node:fs";
import path from "node:path";
import { SupervisorError } from "../../../errors.ts";
import { Rotated } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";

/** Where the kubelet puts what a pod may call its apiserver with. */
const FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/** The cluster that the daemon itself is a pod of. CONFIG_UNREADABLE where it is none. */
export function inCluster(
  env: Readonly<Record<string, string | undefined>> = process.env,
  folder = FOLDER,
): Cluster {
  const host = env["KUBERNETES_SERVICE_HOST"];
  const port = env["KUBERNETES_SERVICE_PORT"] ?? "443";
  if (host === undefined)
    throw new SupervisorError(
      "CONFIG_UNREADABLE",
      'the daemon is in no pod of a cluster: set "kubeconfig" in "kubernetes" to a file that leads to one',
    );
  const read = (name: string): string => readOwn(path.join(folder, name));
  const token = new Rotated(() => read("token").trim());
  return {
    server: new URL(`https://${host.includes(":") ? `[${host}]` : host}:${port}`),
    ca: read("ca.crt"),
    serverName: undefined,
    // oxlint-disable-next-line require-await -- what cannot be read rejects
    credentials: async () => ({ token: token.get() }),
    refused: () => token.refused(),
  };
}

function readOwn(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code = "unknown reason" } = error as NodeJS.ErrnoException;
    throw new SupervisorError(
      "CONFIG_UNREADABLE",
      `${file} cannot be read (${code}): the daemon's pod needs a service account whose token is mounted`,
    );
  }
}
