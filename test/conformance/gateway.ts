import { openShim } from "../helpers/shim.ts";
import { FIXTURE } from "./fixture.ts";

const fixtureChild = (type: "http" | "sse", ...flags: string[]) => ({
  type,
  command: process.execPath,
  args: ["--no-warnings", FIXTURE, ...flags, "--host", "127.0.0.1", "--port", "${port}"],
});

/** Keys of a config whose default server is the dual-era fixture, and which has it once more as an SSE server. */
export const FIXTURE_CONFIG = {
  isolation: "none",
  defaultServer: "fixture",
  servers: {
    fixture: fixtureChild("http"),
    "fixture-sse": fixtureChild("sse", "--sse"),
  },
};

interface Daemon {
  origin: string;
  addUser: (name: string) => Promise<{ key: { secret: string } }>;
}

export interface Door {
  /** An MCP endpoint that wants no secret and leads through the gateway to the fixture. */
  url: string;
  /** The streams of the same user's SSE servers by what lies between, and the header that they want. */
  sse: { urls: Record<"relay", URL>; headers: Record<string, string> };
  close: () => Promise<void>;
}

/** Adds a user to a daemon with `FIXTURE_CONFIG` and opens a door to that user's path. */
export async function openDoor(daemon: Daemon): Promise<Door> {
  const { key } = await daemon.addUser("conf");
  const shim = await openShim(new URL(daemon.origin), key.secret);
  const headers = { authorization: `Bearer ${key.secret}` };
  const relay = new URL("/u/conf/fixture-sse/sse", daemon.origin);
  return {
    url: `${shim.origin}/u/conf/mcp`,
    sse: { urls: { relay }, headers },
    close: shim.close,
  };
}
