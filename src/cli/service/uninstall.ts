import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SERVICE_UNIT, SOCKET_UNIT } from "../../systemd/unit.ts";
import { readOwnUnit } from "./install.ts";
import { DATA_FOLDER, SETTINGS_FOLDER, UNIT_FOLDER } from "./place.ts";
import { must, run } from "./system.ts";

export interface Uninstalled {
  removed: string[];
  kept: string[];
}

/**
 * Stops the service and takes its units away. Config, key and data stay, unless `isPurge`; the
 * account stays always, because its number must not come to be somebody else's while files of it are
 * left. Rejects with SERVICE_REFUSED for units that somebody else made.
 */
export function uninstall(isPurge: boolean): Uninstalled {
  const names = [SERVICE_UNIT, SOCKET_UNIT].filter((name) => readOwnUnit(name) !== undefined);
  if (names.length > 0) {
    must("systemctl", ["disable", "--now", ...names]);
    for (const name of names) rmSync(join(UNIT_FOLDER, name));
    must("systemctl", ["daemon-reload"]);
    // A unit that failed is remembered beyond its file; one that did not is nothing to reset.
    run("systemctl", ["reset-failed", ...names]);
  }
  const removed = names.map((name) => join(UNIT_FOLDER, name));
  const folders = [SETTINGS_FOLDER, DATA_FOLDER].filter((path) => existsSync(path));
  if (!isPurge) return { removed, kept: folders };
  for (const path of folders) rmSync(path, { recursive: true });
  return { removed: [...removed, ...folders], kept: [] };
}
