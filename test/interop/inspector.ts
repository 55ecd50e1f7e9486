import { startDaemonProcess } from "../helpers/daemon-process.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { inspectServer } from "../helpers/inspector.ts";
import { check } from "./report.ts";

const everything = (type: string, mode: string) => ({
  type,
  command: process.execPath,
  args: [EVERYTHING, mode],
  ...(type === "stdio" ? {} : { env: { PORT: "${port}" } }),
});

const SERVERS = {
  "over-sse": everything("sse", "sse"),
  "over-http": everything("http", "streamableHttp"),
  "over-stdio": everything("stdio", "stdio"),
};

/** The Inspector's command line, at servers of every transport. */
export async function visitWithInspector(): Promise<void> {
  const daemon = await startDaemonProcess({
    isolation: "none",
    defaultServer: "over-sse",
    servers: SERVERS,
  });
  try {
    const alice = (await daemon.addUser("alice", "token-of-alice")).key.secret;
    const bob = (await daemon.addUser("bob", "token-of-bob")).key.secret;
    for (const path of ["over-sse/sse", "over-http/mcp", "over-stdio/sse", "over-stdio/mcp"]) {
      const failure = await inspectServer({ origin: daemon.origin, path, alice, bob }).then(
        () => undefined,
        (error: Error) => error,
      );
      check(
        `the Inspector's command line works at ${path}, and says so when the key is wrong`,
        () => {
          if (failure) throw failure;
        },
      );
    }
  } finally {
    await daemon.stop();
  }
}
