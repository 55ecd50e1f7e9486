import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { atEnd, daemonFolder } from "./daemon.ts";
import { freePort } from "./free-port.ts";
import { PROGRAM } from "./program.ts";
import { until } from "./until.ts";

/** Whether a config of this machine's would be found where a test means to have none. */
export const hasMachineConfig = existsSync("/etc/mcp-supervisor/supervisor.config.json");

export interface ServedHere {
  dir: string;
  port: number;
  pid: number | undefined;
  /** What it has logged and printed so far. */
  log: () => string;
  out: () => string;
  /** The exit code, where it has ended by itself. */
  ended: Promise<number | null>;
}

/**
 * `serve` in a folder of its own with these files and no config, with nothing of the test's own
 * environment but where programs are; ended with the test.
 */
export async function serveHere(
  t: TestContext,
  env: NodeJS.ProcessEnv,
  files: Record<string, string> = {},
): Promise<ServedHere> {
  const dir = daemonFolder(t);
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(dir, name), text, { mode: 0o600 });
  const port = await freePort();
  const argv = ["--no-warnings", PROGRAM, "serve", "--json"];
  const child = spawn(process.execPath, argv, {
    cwd: dir,
    env: { PATH: process.env["PATH"], PORT: String(port), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", log: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said.out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said.log += text));
  let hasEnded = false;
  const ended = once(child, "close").then(([code]) => {
    hasEnded = true;
    return code as number | null;
  });
  atEnd(t, async () => {
    if (!hasEnded) child.kill();
    await ended;
  });
  await until(() => said.out.includes("\n") || hasEnded, "it serves, or has ended", 60_000);
  return { dir, port, pid: child.pid, log: () => said.log, out: () => said.out, ended };
}
