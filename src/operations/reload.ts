/** Room: operations. What an order does, whoever gives it: add and remove a user, read the config again. In: the rooms that an order changes. Out: what became of it. Knows no request. */
import { orderRow } from "../audit/audit.ts";
import type { Audit } from "../audit/audit.ts";
import type { Registry } from "../auth/registry.ts";
import type { IssuerParts } from "../auth/jwt/trusted-issuer.ts";
import { applyLive, compareConfigs } from "../config/compare.ts";
import type { ConfigChanges } from "../config/compare.ts";
import { loadConfig } from "../config/config.ts";
import type { Config, ServerDef } from "../config/config.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import { newRequestId } from "../http/request-id.ts";
import type { Isolation } from "../engines/process/isolation.ts";
import type { Tokens } from "../tokens/tokens.ts";
import { configInvalid, requireFreeNames } from "./free-names.ts";
import type { InOrder } from "./one-by-one.ts";
import { trustIssuers } from "./open-registry.ts";
import { replaceServers } from "./replace-servers.ts";
import type { ReplaceParts } from "./replace-servers.ts";
import type { ServerBook } from "./server-book.ts";
import { adjustLog } from "../telemetry/logger.ts";
import type { Logger } from "../telemetry/logger.ts";

/** What became of a reload, with the file that was read. */
export interface Reloaded extends ConfigChanges {
  path: string;
  /** What is odd about it, a line each; absent where nothing is. */
  warnings?: string[];
}

export interface ReloadParts extends ReplaceParts {
  config: Config;
  /** The servers that the control API made. */
  book: Pick<ServerBook, "under">;
  registry: Pick<Registry, "trust" | "recheck">;
  scrubber: IssuerParts["scrubber"];
  tokens: Pick<Tokens, "reloaded">;
  log: Logger;
  isolation: Pick<Isolation, "settleAll" | "warningsOf">;
  /** Removes from logs what these servers are sent in headers. */
  hideHeaders: (servers: readonly ServerDef[]) => void;
}

async function reloadOnce(parts: ReloadParts): Promise<Reloaded> {
  const { config, catalog, log, isolation } = parts;
  if (config.path === null)
    throw new SupervisorError(
      "CONFIG_UNREADABLE",
      "this daemon was started without a config file, so there is none to read again",
    );
  const next = loadConfig({ path: config.path });
  const names = Object.keys({ ...next.servers, ...next.disabled });
  requireFreeNames(catalog, "config", next.path, names);
  const rest = parts.book.under(next);
  if (rest.problems.length > 0) throw configInvalid(next.path, rest.problems);
  const all = catalog.listWith({ config: next.servers, rest: rest.servers });
  await isolation.settleAll(all, next);
  const trust = trustIssuers(parts.registry, next, parts);
  parts.hideHeaders(all);
  const warnings = isolation.warningsOf(next);
  const changes = compareConfigs(config, next);
  applyLive(config, next);
  trust();
  adjustLog(log, config.log);
  await Promise.all([replaceServers(parts, "config", next), replaceServers(parts, "rest", rest)]);
  parts.tokens.reloaded();
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
 * only those whose server vanished are ended. It waits for no start. Calls run one after the other,
 * and not beside other changes of servers.
 *
 * Rejects with CONFIG_UNREADABLE (a file that it names too), CONFIG_INVALID (all problems as details) or ISOLATION_UNAVAILABLE,
 * and has then changed nothing.
 */
export function createReload(parts: ReloadParts, inOrder: InOrder): () => Promise<Reloaded> {
  return async () => await inOrder(() => reloadOnce(parts));
}
