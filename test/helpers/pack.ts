import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

/** Runs a program to its end; throws what it said unless it succeeds. */
export function must(program: string, args: readonly string[], options: object = {}): string {
  const done = spawnSync(program, args, { encoding: "utf8", ...options });
  // It could not be started at all.
  if (done.error) throw done.error;
  const { status, stdout, stderr } = done;
  if (status !== 0) throw new Error(`${program}: exit ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** The tarball of the product as it is in the checkout now, made in that folder. */
export function packProduct(folder: string): string {
  const packed = join(folder, "packed");
  mkdirSync(packed);
  must("npm", ["pack", "--silent", "--pack-destination", packed], { cwd: PROJECT });
  return join(packed, readdirSync(packed)[0] ?? "");
}

/** Installs it below `prefix` from that one file: no registry is asked, and the cache is empty. */
export function installProduct(tarball: string, prefix: string): void {
  const offline = ["--offline", "--cache", `${tarball}.cache`, "--no-audit", "--no-fund"];
  must("npm", ["install", "--global", "--prefix", prefix, ...offline, tarball]);
}

/** The Debian package for this kind of machine, uncompressed, made in that folder. */
export function packDeb(folder: string): void {
  const arch = must("dpkg", ["--print-architecture"]).trim();
  must(process.execPath, ["tools/deb.mjs", "--fast", "--arch", arch, "--out", folder], {
    cwd: PROJECT,
  });
}
