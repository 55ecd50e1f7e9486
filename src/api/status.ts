import { memoryOf } from "../instances/memory.ts";
import type { Selector, Supervisor } from "../instances/supervisor.ts";
import { isFailing } from "./failing.ts";
import type { ControlParts } from "./parts.ts";
import type { Status, StatusRow } from "./types.ts";

/** The instances of these users and servers, one row for each generation of which something is left. */
export async function statusRows(
  supervisor: Pick<Supervisor, "status">,
  selector: Selector,
): Promise<StatusRow[]> {
  const rows = await supervisor.status(selector);
  return rows.map((row) => ({ ...row, failing: isFailing(row) }));
}

/** The daemon and its instances: of all users or of one, of all servers or of one. */
export async function statusOf(
  parts: Pick<ControlParts, "supervisor" | "version" | "registry" | "config">,
  selector: Selector,
): Promise<Status> {
  const { supervisor, version, registry, config } = parts;
  const instances = await statusRows(supervisor, selector);
  return {
    version,
    pid: process.pid,
    uptimeSeconds: Math.floor(process.uptime()),
    isolation: supervisor.isolationLevel,
    queue: supervisor.queue(),
    users: registry.countUsers(),
    memory: {
      usedBytes: memoryOf(instances),
      limitBytes: config.limits.memoryBytes,
    },
    instances,
  };
}
