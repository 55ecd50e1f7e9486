import { startDaemonProcess } from "../helpers/daemon-process.ts";
import { openShim } from "../helpers/shim.ts";
import { FIXTURE } from "./fixture.ts";

export interface GatewayTarget {
  /** An MCP endpoint without a secret that leads through the gateway to the fixture. */
  url: string;
  close: () => Promise<void>;
}

/** Starts a daemon whose default server is the dual-era fixture, with one user and a door to that user's path. */
export async function startGatewayTarget(): Promise<GatewayTarget> {
  const daemon = await startDaemonProcess({
    isolation: "none",
    defaultServer: "fixture",
    servers: {
      fixture: {
        type: "http",
        command: process.execPath,
        args: ["--no-warnings", FIXTURE, "--host", "127.0.0.1", "--port", "${port}"],
      },
    },
  });
  try {
    const { key } = await daemon.addUser("conf");
    const shim = await openShim(new URL(daemon.origin), key.secret);
    return {
      url: `${shim.origin}/u/conf/mcp`,
      close: async () => {
        await shim.close();
        await daemon.stop();
      },
    };
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}
