import { text } from "node:stream/consumers";
import { forkServer } from "./forks.ts";
import { asAccount } from "./guard.ts";
import { findTool, shell } from "./programs.ts";

/**
 * Runs a shell script with the rights of the account and no others. Rejects when it cannot be run, and
 * with what it said when it fails. The account must be held, see `holdAccount`.
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

const RENEW = 'rm -rf -- "$1" && mkdir -m 700 -- "$1"';

/**
 * Makes the folder anew and empty, with the rights of the account that owns what is around it: in
 * there a process of that account can put a link in the place of a folder at any moment, and root
 * would follow it. Rejects when it cannot be done.
 */
export async function renewFolderAs(uid: number, folder: string): Promise<void> {
  await runAs(uid, RENEW, folder);
}
