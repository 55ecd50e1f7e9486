import { request } from "node:http";
import { json } from "node:stream/consumers";
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

/** What `status` says of the instances, asked of the control socket itself: a command is a process more each time. */
export async function instancesOf({ socket }: Pick<TestDaemon, "socket">): Promise<InstanceRow[]> {
  return await new Promise((resolve, reject) => {
    const req = request({
      socketPath: socket,
      path: "/api/status",
      headers: { host: "localhost" },
      agent: false,
    });
    req.once("error", reject).end();
    req.once("response", (res) => {
      json(res).then(
        (status) => resolve((status as { instances: InstanceRow[] }).instances),
        reject,
      );
    });
  });
}
