import { existsSync } from "node:fs";
import { orderRow } from "../audit/audit.ts";
import type { Audit } from "../audit/audit.ts";
import { readIssuers } from "../auth/jwt/trusted-issuer.ts";
import type { IssuerParts } from "../auth/jwt/trusted-issuer.ts";
import { Registry } from "../auth/registry.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import { userHome } from "../engines/process/private-home.ts";
import { newRequestId } from "../http/request-id.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";

export interface OpenRegistryParts extends IssuerParts {
  config: Pick<Config, "dataDir" | "jwt">;
  audit: Pick<Audit, "add">;
  /** Asks the grants of users. */
  catalog: Pick<Catalog, "askGrants">;
  log: Logger;
}

/** The registry with the issuers of the config. CONFIG_UNREADABLE for a key that cannot be used. */
export function openRegistry(parts: OpenRegistryParts, store: Store): Registry {
  const { config, audit, catalog, log } = parts;
  // Homes that a removal kept are for a user whom an admin adds.
  const isTaken = (name: string): boolean => existsSync(userHome(config.dataDir, name));
  const registry = new Registry(store, { isTaken });
  trustIssuers(registry, config, parts)();
  catalog.askGrants(registry.access);
  registry.events.on("user-made", ({ user, issuer }) => {
    const requestId = newRequestId();
    log.info({ user, issuer, requestId }, "a user was made for whom a JWT is");
    const made = { what: "user add", user, server: null, requestId, who: `JWT of ${issuer}` };
    audit.add(orderRow({ ...made, durationMs: 0 }, undefined));
  });
  return registry;
}

/** Reads the issuers of a config; what is returned brings them into force. Throws as `readIssuers`. */
export function trustIssuers(
  registry: Pick<Registry, "trust" | "recheck">,
  { jwt }: Pick<Config, "jwt">,
  parts: IssuerParts,
): () => void {
  const issuers = readIssuers(jwt.issuers, parts, () => registry.recheck());
  return () => registry.trust(issuers);
}
