import type { Inherent } from "../conformance-sse/report.ts";
import { openShim } from "../helpers/shim.ts";
import { FIXTURE } from "./fixture.ts";
import type { Suite } from "./suites.ts";

const fixtureChild = (type: "http" | "sse", ...flags: string[]) => ({
  type,
  command: process.execPath,
  args: ["--no-warnings", FIXTURE, ...flags, "--host", "127.0.0.1", "--port", "${port}"],
});

/** Keys of a config whose default server is the dual-era fixture, and which has it once more over every other transport. */
export const FIXTURE_CONFIG = {
  isolation: "none",
  defaultServer: "fixture",
  servers: {
    fixture: fixtureChild("http"),
    "fixture-sse": fixtureChild("sse", "--sse"),
    "fixture-stdio": {
      type: "stdio",
      command: process.execPath,
      args: ["--no-warnings", FIXTURE, "--stdio"],
    },
  },
};

/** Ways from the Streamable HTTP front to the fixture. Eras are not bridged, and SSE is of the legacy one. */
const HTTP_WAYS: readonly { between: string; server: string; eras: readonly Suite["era"][] }[] = [
  { between: "relay", server: "fixture", eras: ["legacy", "modern"] },
  { between: "bridge over stdio", server: "fixture-stdio", eras: ["legacy", "modern"] },
  { between: "bridge over sse", server: "fixture-sse", eras: ["legacy"] },
];

/** Ways from the SSE front to the fixture. */
const SSE_WAYS: readonly { between: string; server: string; inherent: Inherent }[] = [
  { between: "relay", server: "fixture-sse", inherent: {} },
  {
    between: "bridge over stdio",
    server: "fixture-stdio",
    inherent: {
      "ping-from-server":
        "the ping of a shared child asks whether the other end of its pipe is there, and that is the gateway: a client that does not answer must not make the child give up on all others",
    },
  },
  { between: "bridge over http", server: "fixture", inherent: {} },
];

interface Daemon {
  origin: string;
  addUser: (name: string) => Promise<{ key: { secret: string } }>;
}

export interface Door {
  /** MCP endpoints that want no secret and lead through the gateway to the fixture. */
  http: { between: string; url: string; eras: readonly Suite["era"][] }[];
  /** The same user's SSE streams by what lies between, and the header that they want. */
  sse: {
    ways: { between: string; url: URL; inherent: Inherent }[];
    headers: Record<string, string>;
  };
  close: () => Promise<void>;
}

/** Adds a user to a daemon with `FIXTURE_CONFIG` and opens a door to that user's path. */
export async function openDoor(daemon: Daemon): Promise<Door> {
  const { key } = await daemon.addUser("conf");
  const shim = await openShim(new URL(daemon.origin), key.secret);
  const headers = { authorization: `Bearer ${key.secret}` };
  const ways = SSE_WAYS.map(({ between, server, inherent }) => {
    const url = new URL(`/u/conf/${server}/sse`, daemon.origin);
    return { between, url, inherent };
  });
  return {
    http: HTTP_WAYS.map(({ between, server, eras }) => {
      return { between, url: `${shim.origin}/u/conf/${server}/mcp`, eras };
    }),
    sse: { ways, headers },
    close: shim.close,
  };
}
