import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Servers } from "../../catalog/catalog.ts";
import { isPodServer } from "../../config/child-servers.ts";
import type { Config, KubernetesConfig } from "../../config/config.ts";
import type { Closers } from "../../platform/closers.ts";
import type { Store } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { Digests } from "../../vault/digest.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Ref } from "../engine.ts";
import { Uids } from "../process/uids.ts";
import { ApiClient } from "./api/client.ts";
import { inCluster } from "./api/in-cluster.ts";
import { clusterOfKubeconfig } from "./api/kubeconfig.ts";
import { Authorities } from "./authorities.ts";
import { makeAuthority } from "./authority.ts";
import { installationOf, takeEpoch } from "./epoch.ts";
import { Identities } from "./identities.ts";
import { KubernetesEngine } from "./kubernetes-engine.ts";
import { Pods } from "./pods.ts";
import { connectorOf } from "./shim-link.ts";

export interface ClusterParts {
  config: Config;
  servers: Servers;
  store: Store;
  vault: Vault;
  log: Logger;
}

export interface OpenCluster {
  engine: KubernetesEngine;
  authorities: Authorities;
}

/**
 * Opens the engine of a cluster. Takes this daemon's epoch, and contacts nobody yet but the apiserver.
 * Throws CONFIG_UNREADABLE where the config leads to no cluster.
 */
export function openCluster(
  { config, servers, store, vault, log }: ClusterParts,
  kubernetes: KubernetesConfig,
  closers: Closers,
): OpenCluster {
  const { namespace, kubeconfig, context } = kubernetes;
  const cluster = kubeconfig === null ? inCluster() : clusterOfKubeconfig(kubeconfig, context);
  const installation = installationOf(store.meta);
  const epoch = takeEpoch(store.meta);
  const authorities = new Authorities({ store, vault, make: makeAuthority });
  const identities = new Identities(authorities);
  const socketDir = join(config.dataDir, "run");
  mkdirSync(socketDir, { mode: 0o700, recursive: true });
  const pods = new Pods({ client: new ApiClient(cluster), namespace, installation, log });
  const uids = config.uids && new Uids(store, config.uids);
  const engine = new KubernetesEngine({
    config,
    pods,
    rows: store.pods,
    authorities,
    installation,
    epoch,
    digests: new Digests(store.secrets, vault),
    socketDir,
    connect: connectorOf(identities),
    issueKeys: identities.issueKeys,
    uidFor: ({ user, server }: Ref) => uids?.of(user, server),
    hasHomes: () => servers.list().some((def) => isPodServer(def) && def.pod.home !== null),
    log,
  });
  return { engine: closers.opened(engine), authorities };
}
