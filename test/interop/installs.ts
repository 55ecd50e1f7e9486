import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { runCli, startDaemonProcess } from "../helpers/daemon-process.ts";
import { callOver } from "../helpers/isolation.ts";
import { run } from "./programs.ts";
import { openPython } from "./python.ts";
import { check, skip } from "./report.ts";

/** A small server of the protocol's own people. */
const PACKAGE = "mcp-server-time==2026.10.19";

interface Installed {
  folder: string;
  config: Record<string, { command: string }>;
}

/** Servers from PyPI by uv and by pip: installed once, called through the gateway, open to nobody's changes. */
export async function visitInstalls(): Promise<void> {
  const python = await openPython();
  const usual = (process.env["PATH"] ?? "").split(delimiter);
  const paths = {
    uv: [python.bin, ...usual],
    pip: usual.filter((folder) => !existsSync(join(folder, "uv"))),
  };
  const folder = await mkdtemp(join(tmpdir(), "interop-installs-"));
  try {
    const file = join(folder, "supervisor.config.json");
    await writeFile(file, JSON.stringify({ servers: { none: { command: "true" } } }));
    const installed: Record<string, Installed> = {};
    for (const [by, path] of Object.entries(paths)) {
      const args = ["package", "install", by, "--pip", PACKAGE];
      const done = await runCli(file, args, { PATH: path.join(delimiter) }).catch(String);
      if (typeof done === "string") skip(`${PACKAGE} by ${by}: ${done.split("\n").at(-1)}`);
      else installed[by] = done as Installed;
    }
    for (const [by, { folder: tree }] of Object.entries(installed)) {
      const { output } = await run("find", [tree, "-perm", "/222", "!", "-type", "l"]);
      const hasPip = existsSync(join(tree, "venv/bin/pip"));
      check(`${PACKAGE} by ${by} is a tree that nobody may write to`, () => {
        assert.equal(output, "");
        assert.equal(hasPip, by === "pip");
      });
    }
    await visitServers(Object.assign({}, ...Object.values(installed).map(({ config }) => config)));
  } finally {
    // The tree is read-only: to its owner as well, unless that is root.
    await run("chmod", ["-R", "u+w", folder]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function visitServers(servers: Installed["config"]): Promise<void> {
  const [defaultServer] = Object.keys(servers);
  if (defaultServer === undefined) return;
  const daemon = await startDaemonProcess({
    isolation: "none",
    startTimeout: "2m",
    defaultServer,
    servers,
  });
  try {
    const { key } = await daemon.addUser("alice", "token-of-alice");
    const port = Number(new URL(daemon.origin).port);
    for (const server of Object.keys(servers)) {
      const who = { user: "alice", secret: key.secret, server };
      const said = await callOver(port, who, "get_current_time", { timezone: "UTC" });
      check(`alice's call reaches the server that ${server} installed`, () =>
        assert.equal((JSON.parse(said) as { timezone: string }).timezone, "UTC"),
      );
    }
  } finally {
    await daemon.stop();
  }
}
