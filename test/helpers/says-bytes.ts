import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { startForAlice } from "./alice.ts";
import type { Alice } from "./alice.ts";
import { askControl } from "./control.ts";
import type { DaemonOptions } from "./daemon.ts";
import { bearer, call, fixture, initialize, json } from "./fixtures.ts";
import { ask } from "./raw-http.ts";

/** A server of each kind that says what it is told to: Streamable HTTP, SSE, stdio. */
export function hostileServers(): Record<"web" | "events" | "pipe", Record<string, unknown>> {
  const web = fixture("http", "says-bytes");
  const args = (web["args"] as string[]).slice(0, 2);
  return { web, events: fixture("sse", "says-bytes"), pipe: { ...web, type: "stdio", args } };
}

/** A call that is answered with these bytes, one for each character. */
export const say = (
  id: string,
  bytes: string | Buffer,
  where: "answer" | "events" = "answer",
): string => {
  const encoded = (typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes).toString(
    "base64",
  );
  return call(id, "say", { bytes: encoded, where });
};

export interface WithNeighbour extends Alice {
  /** A call of bob's, in a session that was there before. */
  neighbour: () => Promise<void>;
  /** What `/metrics` says. */
  metrics: () => Promise<{ body: string }>;
}

/** Alice's servers are hostile; bob's session at the same daemon is to notice nothing. */
export async function startWithNeighbour(
  t: TestContext,
  config: Record<string, unknown> = {},
  options: DaemonOptions = {},
): Promise<WithNeighbour> {
  const rig = await startForAlice(t, hostileServers(), config, options);
  const { port, socket } = rig.daemon;
  const bob = await rig.daemon.addUser("bob", "token-of-bob");
  const headers = [...bearer(bob.key.secret), ...json];
  const path = "/u/bob/web/mcp";
  const begun = await ask(port, { method: "POST", path, headers, body: initialize() });
  headers.push("mcp-session-id", String(begun.headers["mcp-session-id"]));
  return {
    ...rig,
    neighbour: async () => {
      const body = call("of bob", "echo", { text: "well" });
      const answer = await ask(port, { method: "POST", path, headers, body });
      assert.equal(answer.status, 200, answer.body);
      assert.match(answer.body, /"well"/);
    },
    metrics: () => askControl(socket, "GET", "/metrics"),
  };
}
