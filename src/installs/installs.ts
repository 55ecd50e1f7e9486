/** Room: installs. Servers from npm and PyPI, fetched once into pinned trees that every user's children read and none can change. In: a package and its exact version. Out: how to start it. Starts no server. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { SupervisorError } from "../errors.ts";
import { installsFolder } from "../platform/installs-folder.ts";
import { fetchFromNpm } from "./npm.ts";
import { fetchFromPip } from "./pip.ts";
import { makeReadOnly, removeTree } from "./tree.ts";
import type { Fetch, Install, InstallOptions, PackageSpec } from "./types.ts";

export type { Install, InstallOptions, PackageSpec } from "./types.ts";

const FETCHERS: Record<PackageSpec["from"], Fetch> = { npm: fetchFromNpm, pip: fetchFromPip };

const MANIFEST = "installed.json";

/** An exact version, and nothing that a package manager could take for an option, a URL or a path. */
const SPECS: Record<PackageSpec["from"], { pattern: RegExp; example: string }> = {
  npm: {
    pattern: /^((?:@[a-z0-9][\w.~-]*\/)?[a-z0-9][\w.~-]*)@(\d+\.\d+\.\d+(?:[-+][\w.+-]+)?)$/i,
    example: "@scope/package@1.2.3",
  },
  pip: {
    pattern: /^([a-z0-9][\w.-]*(?:\[[\w,.-]+\])?)==([\w][\w.!+-]*)$/i,
    example: "package==1.2.3",
  },
};

/** USAGE for what is not a package with its exact version. */
export function parseSpec(from: PackageSpec["from"], text: string): PackageSpec {
  const [, name, version] = SPECS[from].pattern.exec(text) ?? [];
  if (name !== undefined && version !== undefined) return { from, package: name, version };
  throw new SupervisorError(
    "USAGE",
    `--${from} takes a package with its exact version, like ${SPECS[from].example}`,
  );
}

function readManifest(folder: string): Install | undefined {
  const file = path.join(folder, MANIFEST);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Install) : undefined;
}

/**
 * Makes sure that the package is installed for that server; nothing is fetched where it is. Versions
 * lie side by side, so that children of the one before go on. Rejects with INSTALL_FAILED, and then
 * nothing of it is left.
 */
export async function installServer(
  dataDir: string,
  server: string,
  spec: PackageSpec,
  options: InstallOptions,
): Promise<{ install: Install; isNew: boolean }> {
  const name = `${spec.from}-${spec.package.replaceAll("/", "+")}-${spec.version}`;
  const folder = path.join(installsFolder(dataDir), server, name);
  const found = readManifest(folder);
  if (found !== undefined) {
    openWayTo(folder);
    return { install: found, isNew: false };
  }
  // Without a manifest it is what an install left that was killed. Filled in place, because programs
  // of a Python environment hold its path.
  removeTree(folder);
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const started = await FETCHERS[spec.from](folder, spec, options);
    const install = { server, ...spec, folder, ...started, installedAt: Date.now() };
    writeFileSync(path.join(folder, MANIFEST), `${JSON.stringify(install, null, 2)}\n`);
    makeReadOnly(folder);
    openWayTo(folder);
    return { install, isNew: true };
  } catch (error) {
    removeTree(folder);
    removeIfEmpty(path.dirname(folder));
    if (error instanceof SupervisorError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new SupervisorError("INSTALL_FAILED", `${folder} cannot be filled (${code ?? message})`, {
      cause: error,
    });
  }
}

/** The folder of its server and that of all, which a umask may have closed: a child can be of another account. */
function openWayTo(folder: string): void {
  const server = path.dirname(folder);
  for (const place of [path.dirname(server), server])
    if ((statSync(place).mode & 0o055) !== 0o055) chmodSync(place, 0o755);
}

function removeIfEmpty(folder: string): void {
  if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
}

/** None where the folder is not there; one that is closed to this account is no empty one. */
function foldersIn(folder: string): string[] {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(folder, entry.name));
}

/** Everything that is installed, by server and age; what an install that was killed left is none of it. */
export function listInstalls(dataDir: string): Install[] {
  return foldersIn(installsFolder(dataDir))
    .flatMap(foldersIn)
    .map(readManifest)
    .filter((install) => install !== undefined)
    .toSorted((a, b) => a.server.localeCompare(b.server) || a.installedAt - b.installedAt);
}

/** Removes every version for that server; returns what there was. Children that run on it lose their files. */
export function removeInstalls(dataDir: string, server: string): Install[] {
  const found = listInstalls(dataDir).filter((install) => install.server === server);
  removeTree(path.join(installsFolder(dataDir), server));
  return found;
}
