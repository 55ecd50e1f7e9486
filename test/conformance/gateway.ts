import { openShim } from "../helpers/shim.ts";
import { FIXTURE } from "./fixture.ts";

/** Keys of a config whose default server is the dual-era fixture. */
export const FIXTURE_CONFIG = {
  isolation: "none",
  defaultServer: "fixture",
  servers: {
    fixture: {
      type: "http",
      command: process.execPath,
      args: ["--no-warnings", FIXTURE, "--host", "127.0.0.1", "--port", "${port}"],
    },
  },
};

interface Daemon {
  origin: string;
  addUser: (name: string) => Promise<{ key: { secret: string } }>;
}

export interface Door {
  /** An MCP endpoint that wants no secret and leads through the gateway to the fixture. */
  url: string;
  close: () => Promise<void>;
}

/** Adds a user to a daemon with `FIXTURE_CONFIG` and opens a door to that user's path. */
export async function openDoor(daemon: Daemon): Promise<Door> {
  const { key } = await daemon.addUser("conf");
  const shim = await openShim(new URL(daemon.origin), key.secret);
  return { url: `${shim.origin}/u/conf/mcp`, close: shim.close };
}
