import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { Server } from "node:net";
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import { callOver, noOutbound } from "../helpers/isolation.ts";
import { openPython } from "./python.ts";
import { check, skip } from "./report.ts";
import { MCP_SERVER, SERVERS } from "./seed.ts";

/** The services that the server's settings name, and one that a child has no business with. */
const NAMED = [8030, 8031, 1025];
const UNNAMED = 8032;

async function serve(port: number): Promise<Server> {
  const server = createServer((socket) => socket.end(`service ${port}`));
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** The server that people have, unchanged, in a sandbox: it finds its services on localhost, and nothing else there. */
export async function visitInSandbox(): Promise<void> {
  if (noOutbound !== false) return skip(`the sandbox: ${noOutbound}`);
  const python = await openPython();
  const open: Server[] = [];
  try {
    for (const port of [...NAMED, UNNAMED]) open.push(await serve(port));
  } catch {
    for (const server of open) server.close();
    return skip("the sandbox: its services' ports are somebody else's on this machine");
  }
  const { gmail } = SERVERS;
  const daemon = await startDaemonProcess(
    {
      isolation: "sandbox",
      defaultServer: "gmail",
      servers: { gmail, "gmail-http": { ...SERVERS["gmail-http"], reach: gmail.reach } },
      startTimeout: "60s",
    },
    {
      env: { PATH: `${python.bin}:${process.env["PATH"] ?? ""}` },
      beside: { mcp_server: MCP_SERVER },
    },
  );
  try {
    const { key } = await daemon.addUser("alice", "token-of-alice");
    const port = Number(new URL(daemon.origin).port);
    for (const server of ["gmail", "gmail-http"]) {
      const who = { user: "alice", secret: key.secret, server };
      const said = JSON.parse(await callOver(port, who, "services")) as Record<string, unknown>;
      check(
        `${server} in a sandbox finds the services that reach names on localhost, and no other`,
        () =>
          assert.deepEqual(said, {
            ...Object.fromEntries(NAMED.map((named) => [named, `service ${named}`])),
            [UNNAMED]: null,
          }),
      );
    }
  } finally {
    await daemon.stop();
    for (const server of open) server.close();
  }
}
