import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { Refused } from "./provider.ts";

/** Reads the client's secret, so that a new one needs no restart. Throws a Refused of the configuration. */
export function readClientSecret(file: string): string {
  let handle: number;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code = "unknown reason" } = error as NodeJS.ErrnoException;
    throw new Refused("config", `the client's secret cannot be read from ${file} (${code})`);
  }
  try {
    const status = fstatSync(handle);
    if (!status.isFile() || (status.mode & forbiddenBits(file)) !== 0)
      throw new Refused("config", `${file} is open to other accounts: chmod 400 '${file}'`);
    const secret = readFileSync(handle, "utf8").replace(/\r?\n$/, "");
    if (secret === "") throw new Refused("config", `${file} is empty`);
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
