import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Servers } from "../../catalog/catalog.ts";
import { isPodServer } from "../../config/child-servers.ts";
import type { Config, KubernetesConfig } from "../../config/config.ts";
import { withDeadline } from "../../platform/deadline.ts";
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
import { NetworkEnforcement } from "./enforcement.ts";
import { Identities } from "./identities.ts";
import { KubernetesEngine } from "./kubernetes-engine.ts";
import { Pods } from "./pods.ts";
import { PolicyTrial } from "./policy-trial.ts";
import { connectorOf } from "./shim-link.ts";

/** So long an apiserver that does not answer holds up the daemon's end. */
const LAST_CALLS_MS = 2000;

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
  networks: NetworkEnforcement;
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
  const client = new ApiClient(cluster);
  const pods = new Pods({ client, namespace, installation, log });
  const closing = new AbortController();
  const { signal } = closing;
  const trial = new PolicyTrial({ client, namespace, installation, recipe: kubernetes, signal });
  const networks = new NetworkEnforcement(trial);
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
    networks,
    log,
  });
  closers.opened(engine);
  const wantsPolicies = servers
    .list()
    .some((def) => isPodServer(def) && def.pod.networkPolicy === "proven");
  const finding = wantsPolicies ? networks.findOut(signal, log) : undefined;
  closers.push(async () => {
    closing.abort(new Error("the daemon is stopping"));
    await finding;
    await withDeadline(trial.settled(), LAST_CALLS_MS, () => {});
  });
  return { engine, authorities, networks };
}
