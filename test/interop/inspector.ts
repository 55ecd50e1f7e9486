import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import type { DaemonProcess } from "../helpers/daemon-process.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { inspectServer, toolsByFile } from "../helpers/inspector.ts";
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

/** What `url --client inspector` prints, with the key in its place, is a file that the Inspector takes. */
async function visitByFile({ cli }: DaemonProcess, key: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "inspector-file-"));
  try {
    const { snippets } = (await cli(["url", "alice", "--client", "inspector"])) as {
      snippets: { server: string; text: string }[];
    };
    for (const { server, text } of snippets) {
      const file = join(folder, `${server}.json`);
      await writeFile(file, text.replace("YOUR_ACCESS_KEY", key));
      const tools = await toolsByFile(file, server);
      check(`the Inspector takes the snippet for ${server}`, () => {
        assert.ok(tools.includes("get-env"), tools.join());
      });
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

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
    await visitByFile(daemon, alice);
  } finally {
    await daemon.stop();
  }
}
