import { appOf } from "../builtins/feishu/app.ts";
import type { FeishuApp } from "../builtins/feishu/app.ts";
import { Builtins } from "../builtins/builtins.ts";
import type { Catalog, Servers } from "../catalog/catalog.ts";
import { BuiltinEngine } from "../engines/builtin/builtin-engine.ts";
import type { Authorities } from "../engines/kubernetes/authorities.ts";
import type { NetworkEnforcement } from "../engines/kubernetes/enforcement.ts";
import { openMachine } from "../engines/process/open.ts";
import type { MachineFacts } from "../engines/process/open.ts";
import type { ClusterParts, OpenCluster } from "../engines/kubernetes/open.ts";
import type { Config, ServerDef } from "../config/config.ts";
import type { Tokens } from "../tokens/tokens.ts";
import type { Vault } from "../vault/vault.ts";
import { RemoteEngine } from "../engines/remote/remote-engine.ts";
import type { Closers } from "../platform/closers.ts";
import type { Store } from "../store/store.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import { LastShown, keptRevisions } from "./last-shown.ts";
import { Manifests } from "./manifests.ts";
import { Supervisor } from "./supervisor.ts";
import type { SupervisorOptions } from "./supervisor.ts";

export interface InstancesOptions extends Omit<
  SupervisorOptions,
  "engines" | "eras" | "versions" | "servers"
> {
  catalog: Servers & Pick<Catalog, "findFor">;
  scrubber: Scrubber;
  store: Store;
  vault: Vault;
  tokens: Pick<Tokens, "secretFor">;
}

export interface OpenInstances extends MachineFacts {
  supervisor: Supervisor;
  manifests: Manifests;
  lastShown: LastShown;
  builtins: Builtins;
  /** Of the pods; null where there is no cluster. */
  authorities: Authorities | null;
  /** Whether the cluster holds pods to their network; null where there is none. */
  networks: NetworkEnforcement | null;
}

/** Opens the engines, and the supervisor of what they run. Rejects as `openMachine`; the closers have then what was opened. */
export async function openInstances(
  { store, vault, tokens, catalog, ...options }: InstancesOptions,
  closers: Closers,
): Promise<OpenInstances> {
  const { engine, ...facts } = await openMachine({ ...options, store, servers: catalog }, closers);
  const own = { ownApp: ownAppOf(options.config), store, vault, servers: catalog };
  const builtins = closers.opened(new Builtins({ ...options, ...own }));
  const cluster = await openPods({ ...options, store, vault, servers: catalog }, closers);
  const engines = {
    child: engine,
    pods: cluster?.engine,
    remote: closers.opened(new RemoteEngine(catalog)),
    builtin: closers.opened(new BuiltinEngine(builtins)),
  };
  const [eras, versions] = [store.meta.under("era"), store.meta.under("version")];
  const servers = (name: string, user?: string): ServerDef | undefined =>
    user === undefined ? catalog.find(name) : catalog.findFor(user, name);
  const supervisor = new Supervisor({ ...options, servers, engines, eras, versions });
  const manifests = closers.opened(new Manifests({ store, vault, log: options.log }));
  manifests.retain(keptRevisions(catalog.list()));
  const tokenOf = tokens.secretFor.bind(tokens);
  const lastShown = new LastShown({ manifests, servers, tokenOf });
  closers.push(() => supervisor.stopAll());
  return {
    supervisor,
    manifests,
    lastShown,
    builtins,
    authorities: cluster?.authorities ?? null,
    networks: cluster?.networks ?? null,
    ...facts,
  };
}

/** The engine of pods, where the config has a cluster: nobody else loads what it is made of. */
async function openPods(parts: ClusterParts, closers: Closers): Promise<OpenCluster | undefined> {
  const { kubernetes } = parts.config;
  if (kubernetes === null) return undefined;
  const { openCluster } = await import("../engines/kubernetes/open.ts");
  return openCluster(parts, kubernetes, closers);
}

const ownAppOf = ({ ownApp }: Pick<Config, "ownApp">): FeishuApp | undefined =>
  appOf(ownApp?.id, ownApp?.secret.export().toString());
