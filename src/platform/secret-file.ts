import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { SupervisorError } from "../errors.ts";

const refused = (message: string): SupervisorError =>
  new SupervisorError("CONFIG_UNREADABLE", message);

/**
 * The one line in the file, which no other account may read. CONFIG_UNREADABLE for any other file, and
 * for one that is not there; the message names the file and never what is in it.
 */
export function readSecretFile(file: string, what: string): string {
  let handle: number;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code = "unknown reason" } = error as NodeJS.ErrnoException;
    throw refused(`${what} cannot be read from ${file} (${code})`);
  }
  try {
    const status = fstatSync(handle);
    if (!status.isFile() || (status.mode & forbiddenBits(file)) !== 0)
      throw refused(`${file} is open to other accounts: chmod 400 '${file}'`);
    const secret = readFileSync(handle, "utf8").replace(/\r?\n$/, "");
    if (secret === "") throw refused(`${file} is empty`);
    return secret;
  } finally {
    closeSync(handle);
  }
}

/** In systemd's credentials folder the group bits are the mask of an ACL for the service's own account. */
function forbiddenBits(file: string): number {
  const credentials = process.env["CREDENTIALS_DIRECTORY"];
  return credentials && path.dirname(file) === path.resolve(credentials) ? 0o037 : 0o077;
}
