import type { DaemonProcess } from "../helpers/daemon-process.ts";

/** One user's session, by which tools are called one after the other. */
export interface Client {
  user: string;
  call: (tool: string, args?: object) => Promise<void>;
}

/** A new user with a session at that server. */
export async function connect(
  daemon: DaemonProcess,
  user: string,
  server: string,
): Promise<Client> {
  const { key } = await daemon.addUser(user);
  const post = async (body: object, session?: string) =>
    await fetch(`${daemon.origin}/u/${user}/${server}/mcp`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${key.secret}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        ...(session === undefined ? {} : { "mcp-session-id": session }),
      },
      body: JSON.stringify({ jsonrpc: "2.0", ...body }),
    });
  const clientInfo = { name: "hog", version: "1" };
  const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo };
  const hello = await post({ id: 0, method: "initialize", params });
  await hello.text();
  if (hello.status !== 200) throw new Error(`${user}: ${hello.status}\n${daemon.log()}`);
  const session = hello.headers.get("mcp-session-id") ?? "";
  let id = 0;
  return {
    user,
    call: async (tool, args = {}) => {
      const what = { name: tool, arguments: args };
      const answer = await post({ id: ++id, method: "tools/call", params: what }, session);
      await answer.text();
    },
  };
}

/** The 99th percentile in ms of the calls that one user makes one after the other for a while. */
export async function p99Of({ call }: Client, seconds: number): Promise<number> {
  const times: number[] = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const begun = performance.now();
    await call("echo", { text: "x" });
    times.push(performance.now() - begun);
  }
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
