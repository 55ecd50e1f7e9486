import type { Servers } from "../../src/catalog/catalog.ts";
import type { Config } from "../../src/config/config.ts";
import type { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Tokens } from "../../src/tokens/tokens.ts";
import type { Vault } from "../../src/vault/vault.ts";

type Feeding = Pick<Config, "providers" | "servers" | "dataDir">;
const NO_PROVIDERS: Feeding = { providers: {}, servers: {}, dataDir: "/nowhere" };

/** The room on that store, with nobody who hears of it. */
export function tokensOver(
  rooms: { store: Store; vault: Vault },
  config: Feeding = NO_PROVIDERS,
): Tokens {
  const servers: Servers = {
    find: (name) => config.servers[name],
    list: () => Object.values(config.servers),
  };
  const log = createLogger("silent", {});
  return new Tokens({ ...rooms, config, servers, log, scrubber: { set: () => true } });
}
