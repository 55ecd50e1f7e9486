import type { Config } from "../config/config.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import { openVault } from "./vault.ts";
import type { Vault } from "./vault.ts";

export interface DaemonVaultOptions {
  config: Pick<Config, "keyFile">;
  log: Logger;
  /** Every key is made known to it. */
  scrubber: Scrubber;
}

/** The vault of a daemon, which begins to seal anew what a change of keys has left behind. Rejects as `openVault` does. */
export function openDaemonVault(
  { config, log, scrubber }: DaemonVaultOptions,
  store: Store,
): Vault {
  const vault = openVault({
    keyFile: config.keyFile,
    store,
    hide: (id, key) => scrubber.set(`vault key ${id}`, key),
    onFailure: (err) => log.error({ err }, "rows cannot be sealed anew now; tried again later"),
  });
  vault.keyring.resume();
  return vault;
}
