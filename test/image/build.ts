import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, matchesGlob, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { isInstalled } from "../helpers/installed.ts";
import { must } from "../helpers/pack.ts";
import { ROOT, readDockerfile } from "./dockerfile.ts";
import type { Instruction } from "./dockerfile.ts";

/** This machine lacks something that the tests need; that is no failure. */
export class CannotRun extends Error {}

const RUN_IN = fileURLToPath(new URL("run-in.sh", import.meta.url));
/** Where a package manager that is handed certificates of its own finds them inside. */
const CERTIFICATES = "/etc/machine.crt";
const SPACES = ["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"];
const SOURCES = `Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;

function requireMeans(): void {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new CannotRun("only root on Linux can make a system");
  const wanted = ["mmdebstrap", "npm", "unshare", "nsenter", "ip"];
  const missing = wanted.filter((name) => !isInstalled(name));
  if (missing.length > 0) throw new CannotRun(`not installed: ${missing.join(", ")}`);
}

/** A Debian with as little as the base image has: no compiler, no Python, no certificates. */
function unpackDebian(root: string, tar: string | undefined): void {
  mkdirSync(root);
  if (tar !== undefined && existsSync(tar)) return void must("tar", ["-C", root, "-xf", tar]);
  const args = ["--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io"];
  const { status, stderr } = spawnSync(
    "mmdebstrap",
    [...args, "--include=libstdc++6", "bookworm", root],
    { encoding: "utf8", timeout: 300_000 },
  );
  if (status !== 0) throw new CannotRun(`mmdebstrap: ${stderr.trim().split("\n").at(-1)}`);
  return undefined;
}

/** What stands in for the base image: Debian, Node with its npm, and the account `node`. */
function makeBase(root: string, tar: string | undefined): void {
  unpackDebian(root, tar);
  must("rm", ["-f", join(root, "etc/apt/sources.list")]);
  writeFileSync(join(root, "etc/apt/sources.list.d/debian.sources"), SOURCES);
  must("chroot", [root, "useradd", "--uid", "1000", "--user-group", "--create-home", "node"]);
  const local = (name: string): string => join(root, "usr/local", name);
  copyFileSync(process.execPath, local("bin/node"));
  chmodSync(local("bin/node"), 0o755);
  const npm = dirname(dirname(realpathSync(must("which", ["npm"]).trim())));
  cpSync(npm, local("lib/node_modules/npm"), { recursive: true });
  symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", local("bin/npm"));
  const certificates = process.env["NODE_EXTRA_CA_CERTS"];
  if (certificates !== undefined) copyFileSync(certificates, join(root, CERTIFICATES));
}

/** The checkout without what .dockerignore keeps out, as of somebody whose umask leaves others nothing. */
function makeContext(folder: string): void {
  const ignored = readFileSync(join(ROOT, ".dockerignore"), "utf8").trim().split("\n");
  cpSync(ROOT, folder, {
    recursive: true,
    filter: (source) => !ignored.some((glob) => matchesGlob(relative(ROOT, source), glob)),
  });
  must("chmod", ["-R", "go=", folder]);
}

interface Stage {
  name: string | undefined;
  root: string;
  folder: string;
  env: string[];
}

interface Build {
  context: string;
  stages: Stage[];
  /** `--build-arg`. */
  args: ReadonlyMap<string, string>;
}

const unquoted = (text: string): string => text.replace(/^"(.*)"$/, "$1");

/** COPY of one source to one place; from the checkout it becomes root's, as everything does there. */
function copy({ context, stages }: Build, stage: Stage, rest: string): void {
  const [, from, source, target] = /^(?:--from=(\S+) )?(\S+) (\S+)$/.exec(rest) ?? [];
  const root = from === undefined ? context : stages.find(({ name }) => name === from)?.root;
  if (root === undefined || source === undefined || target === undefined)
    throw new Error(`COPY ${rest}: not understood`);
  const place = join(stage.root, target.startsWith("/") ? target : join(stage.folder, target));
  mkdirSync(place, { recursive: true });
  must("cp", ["-a", "--no-preserve=ownership", `${join(root, source)}/.`, place]);
}

function apply(build: Build, stage: Stage, { name, rest }: Instruction): void {
  switch (name) {
    case "COPY":
      return copy(build, stage, rest);
    case "WORKDIR":
      stage.folder = rest;
      return void mkdirSync(join(stage.root, rest), { recursive: true });
    case "ARG": {
      const [key = "", value = ""] = rest.split("=");
      return void stage.env.push(`${key}=${build.args.get(key) ?? unquoted(value)}`);
    }
    case "RUN":
      return void must("unshare", [
        ...SPACES,
        "--",
        "sh",
        RUN_IN,
        stage.root,
        stage.folder,
        rest,
        ...stage.env,
      ]);
    // How the image is run, and not what is in it.
    case "FROM":
    case "ENV":
    case "USER":
    case "EXPOSE":
    case "HEALTHCHECK":
    case "ENTRYPOINT":
    case "CMD":
      return undefined;
    default:
      throw new Error(`${name}: not understood`);
  }
}

/**
 * The root of the image: each instruction of the Dockerfile carried out in a copy of what stands in for
 * its base image. `tar` is a Debian that was made before.
 */
export function buildRoot(folder: string, tar?: string): string {
  requireMeans();
  const base = join(folder, "base");
  makeBase(base, tar);
  const context = join(folder, "context");
  makeContext(context);
  const args = new Map([["NPM_REGISTRY", must("npm", ["config", "get", "registry"]).trim()]]);
  const build: Build = { context, stages: [], args };
  for (const instructions of readDockerfile().slice(1)) {
    const root = join(folder, `stage-${build.stages.length}`);
    must("cp", ["-a", base, root]);
    const name = / AS (\S+)$/.exec(instructions[0]!.rest)?.[1];
    const hasOwn = existsSync(join(base, CERTIFICATES));
    const env = hasOwn ? [`NODE_EXTRA_CA_CERTS=${CERTIFICATES}`] : [];
    const stage: Stage = { name, root, folder: "/", env };
    build.stages.push(stage);
    for (const instruction of instructions) apply(build, stage, instruction);
  }
  return build.stages.at(-1)!.root;
}
