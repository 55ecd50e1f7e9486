import { orderControl } from "./control.ts";
import type { TestDaemon } from "./daemon.ts";

export interface InstanceRow {
  user: string;
  server: string;
  variant: string;
  state: string;
  reason: string | null;
  generation: number;
  restarts: number;
  pid: number | null;
  sessions: number;
  inFlight: number;
  rssBytes: number | null;
}

/** What `status` says of the instances. */
export async function instancesOf({ socket }: Pick<TestDaemon, "socket">): Promise<InstanceRow[]> {
  const { instances } = await orderControl<{ instances: InstanceRow[] }>(
    socket,
    "GET",
    "/api/status",
  );
  return instances;
}
