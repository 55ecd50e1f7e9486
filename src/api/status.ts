import type { ControlParts } from "./parts.ts";
import type { Status } from "./types.ts";

/** The daemon and its instances, of all users or of one. */
export async function statusOf(
  { supervisor, version }: Pick<ControlParts, "supervisor" | "version">,
  user: string | undefined,
): Promise<Status> {
  return {
    version,
    pid: process.pid,
    uptimeSeconds: Math.floor(process.uptime()),
    isolation: supervisor.isolationLevel,
    queue: supervisor.queue(),
    instances: await supervisor.status({ user }),
  };
}
