import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { asAccount } from "./guard.ts";
import { findTool, shell } from "./programs.ts";

const run = promisify(execFile);
const TIMEOUT_MS = 60_000;

const RENEW = 'rm -rf -- "$1" && mkdir -m 700 -- "$1"';

/**
 * Makes the folder anew and empty, with the rights of the account that owns what is around it: in
 * there a process of that account can put a link in the place of a folder at any moment, and root
 * would follow it. Rejects when it cannot be done.
 */
export async function renewFolderAs(uid: number, folder: string): Promise<void> {
  const setpriv = findTool("setpriv");
  if (setpriv === undefined) throw new Error("setpriv of util-linux is not installed");
  const argv = [...asAccount(uid), "--no-new-privs", "--", shell(), "-c", RENEW, "sh", folder];
  await run(setpriv, argv, { cwd: "/", env: {}, timeout: TIMEOUT_MS });
}
