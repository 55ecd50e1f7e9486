import { text } from "node:stream/consumers";
import { forkServer } from "./forks.ts";
import { asAccount } from "./guard.ts";
import { findTool, shell } from "./programs.ts";

/**
 * Runs a shell script with the rights of the account and no others. Rejects when it cannot be run, and
 * with what it said when it fails, or when the account's last child ends meanwhile (see `holdAccount`).
 */
export async function runAs(uid: number, script: string, ...args: string[]): Promise<void> {
  const setpriv = findTool("setpriv");
  if (setpriv === undefined) throw new Error("setpriv of util-linux is not installed");
  const { pipes, exited } = await (
    await forkServer()
  ).fork({
    argv: [
      setpriv,
      ...asAccount(uid),
      "--no-new-privs",
      "--",
      shell(),
      "-c",
      script,
      "sh",
      ...args,
    ],
    cwd: "/",
    env: {},
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [said, { code, signal }] = await Promise.all([text(pipes[2]!), exited]);
  if (code !== 0) throw new Error(said.trim() || `it ended with ${code ?? signal}`);
}
