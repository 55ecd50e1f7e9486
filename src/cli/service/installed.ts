import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../config/config.ts";
import { SERVICE_UNIT, readUnit } from "../../systemd/unit.ts";
import type { InstalledUnit } from "../../systemd/unit.ts";
import { UNIT_FOLDER } from "./place.ts";

/** The service's unit, where one is installed for this config: who runs it, and with which key. */
export function serviceOf({ path }: Pick<Config, "path">): InstalledUnit | undefined {
  const file = join(UNIT_FOLDER, SERVICE_UNIT);
  return path !== null && existsSync(file) ? readUnit(readFileSync(file, "utf8"), path) : undefined;
}

/** The key file that a daemon would have. */
export function keyFileOf(
  { keyFile, dataDir }: Pick<Config, "keyFile" | "dataDir">,
  service: InstalledUnit | undefined,
): string {
  return keyFile === join(dataDir, "vault.key") ? (service?.keyFile ?? keyFile) : keyFile;
}
