/** Room: operations. What an order does, whoever gives it: add and remove a user, read the config again. In: the rooms that an order changes. Out: what became of it. Knows no request. */
import { orderRow } from "../audit/audit.ts";
import type { Audit } from "../audit/audit.ts";
import type { Registry } from "../auth/registry.ts";
import type { IssuerParts } from "../auth/jwt/trusted-issuer.ts";
import type { Catalog, Origin } from "../catalog/catalog.ts";
import type { Builtins } from "../builtins/builtins.ts";
import { applyLive, compareConfigs, isReshaped, isRunOtherwise } from "../config/compare.ts";
import type { ConfigChanges } from "../config/compare.ts";
import { loadConfig } from "../config/config.ts";
import type { Config, ServerDef } from "../config/config.ts";
import { SupervisorError, counted, toSupervisorError } from "../errors.ts";
import { newRequestId } from "../http/request-id.ts";
import type { Isolation } from "../engines/process/isolation.ts";
import type { Manifests } from "../instances/manifests.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Tokens } from "../tokens/tokens.ts";
import { trustIssuers } from "./open-registry.ts";
import { adjustLog } from "../telemetry/logger.ts";
import type { Logger } from "../telemetry/logger.ts";

/** What became of a reload, with the file that was read. */
export interface Reloaded extends ConfigChanges {
  path: string;
  /** What is odd about it, a line each; absent where nothing is. */
  warnings?: string[];
}

export interface ReloadParts {
  config: Config;
  catalog: Catalog;
  supervisor: Supervisor;
  manifests: Pick<Manifests, "forget">;
  builtins: Pick<Builtins, "retain">;
  sessions: Pick<Sessions, "closeServer">;
  registry: Pick<Registry, "trust" | "recheck">;
  scrubber: IssuerParts["scrubber"];
  tokens: Pick<Tokens, "reloaded">;
  log: Logger;
  isolation: Pick<Isolation, "settleAll" | "warningsOf">;
  /** Removes from logs what these servers are sent in headers. */
  hideHeaders: (servers: readonly ServerDef[]) => void;
}

/** Whether sessions that were begun in the way of the one server could not go on with the other. */
const endsSessions = (before: ServerDef | undefined, after: ServerDef | undefined): boolean =>
  isReshaped(before, after) || before?.stateful !== after?.stateful;

const ORIGIN_NAMES: Record<Origin, string> = {
  config: "the config",
  environment: "the environment",
  rest: "the control API",
};

/** A name means one server, wherever that is from: CONFIG_INVALID. */
function requireFreeNames(catalog: Catalog, { path, servers, disabled }: Config): void {
  const taken = catalog.takenFrom("config", [...Object.keys(servers), ...disabled]);
  if (taken.length === 0) return;
  throw new SupervisorError("CONFIG_INVALID", `${path}: ${counted(taken.length, "problem")}`, {
    details: taken.map(
      ({ name, by }) =>
        `servers.${name}: is the name of a server that ${ORIGIN_NAMES[by]} has already; take another here, or remove that one`,
    ),
  });
}

async function reloadOnce(parts: ReloadParts): Promise<Reloaded> {
  const { config, catalog, supervisor, sessions, log, isolation } = parts;
  if (config.path === null)
    throw new SupervisorError(
      "CONFIG_UNREADABLE",
      "the config of this daemon does not come from a file that could be read again",
    );
  const next = loadConfig({ path: config.path });
  requireFreeNames(catalog, next);
  const all = catalog.listWith("config", next.servers);
  await isolation.settleAll(all, next);
  const trust = trustIssuers(parts.registry, next, parts);
  parts.hideHeaders(all);
  const warnings = isolation.warningsOf(next);
  const changes = compareConfigs(config, next);
  const before = config.servers;
  applyLive(config, next);
  catalog.replace("config", next.servers, next.disabled);
  trust();
  adjustLog(log, config.log);
  const touched = [...changes.changed, ...changes.removed];
  for (const server of touched)
    if (endsSessions(before[server], next.servers[server])) sessions.closeServer(server);
  const renewed = changes.changed.filter((server) =>
    isRunOtherwise(before[server]!, next.servers[server]!),
  );
  for (const server of touched) {
    const def = next.servers[server];
    if (def?.manifest !== true || renewed.includes(server)) parts.manifests.forget({ server });
  }
  await Promise.all([
    ...renewed.map((server) => supervisor.renew({ server }, "restarted: the config changed")),
    ...changes.removed.map((server) =>
      supervisor.forget({ server }, "stopped: the server is gone"),
    ),
  ]);
  parts.tokens.reloaded();
  parts.builtins.retain();
  log.info({ path: config.path, ...changes }, "config reloaded");
  for (const warning of warnings) log.warn(`config: ${warning}`);
  return { path: config.path, ...changes, ...(warnings.length > 0 && { warnings }) };
}

/** The reload that nobody asks for over the control API, with its row among the orders of admins. */
export function auditedReload(
  audit: Audit,
  who: string,
  reload: () => Promise<Reloaded>,
): () => Promise<Reloaded> {
  return async () => {
    const startedAt = performance.now();
    let failure: SupervisorError | undefined;
    try {
      return await reload();
    } catch (error) {
      failure = toSupervisorError(error);
      throw error;
    } finally {
      const [requestId, durationMs] = [newRequestId(), performance.now() - startedAt];
      const order = { what: "reload", user: null, server: null, requestId, who, durationMs };
      audit.add(orderRow(order, failure));
    }
  };
}

/**
 * A function that reads the config file again. Only instances whose server changed are replaced, and
 * only those whose server vanished are ended. It waits for no start. Calls run one after the other.
 *
 * Rejects with CONFIG_UNREADABLE (a file that it names too), CONFIG_INVALID (all problems as details) or ISOLATION_UNAVAILABLE,
 * and has then changed nothing.
 */
export function createReload(parts: ReloadParts): () => Promise<Reloaded> {
  let last: Promise<unknown> = Promise.resolve();
  return async () => {
    const reloading = last.then(() => reloadOnce(parts));
    last = reloading.catch(() => {});
    return await reloading;
  };
}
