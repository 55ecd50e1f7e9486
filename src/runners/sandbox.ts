import { existsSync, lstatSync, readlinkSync, realpathSync } from "node:fs";
import path from "node:path";
import { knows } from "./bubblewrap-options.ts";
import { findTool } from "./programs.ts";
import { etcMounts } from "./sandbox-etc.ts";
import { SYSTEM_FOLDERS, visibleFiles } from "./visible-files.ts";
import type { LateOption } from "./bubblewrap-options.ts";
import type { Sandbox } from "./confinement.ts";
import type { RunSpec } from "./runner.ts";

/** It is memory. TMPDIR is on the disk, in the home. */
const TMP_BYTES = 512 * 2 ** 20;

/** Inside, what the daemon brings in for itself. */
export const OWN_FOLDER = "/run/mcp-supervisor";

export interface SandboxInput {
  spec: RunSpec;
  sandbox: Sandbox;
  /** What runs inside; the first is absolute. */
  argv: readonly string[];
  /** The program of those that the admin asked for. */
  program: string;
  /** Files of this machine that are to be seen elsewhere: source → place. */
  extra: ReadonlyMap<string, string>;
  /** bwrap makes the network namespace; otherwise it is there already. */
  makesNetwork: boolean;
}

/** The command line of bubblewrap for this child. Nothing secret is in it: every account can read it. */
export function bubblewrap(input: SandboxInput): [string, ...string[]] {
  const { spec, sandbox, argv, makesNetwork } = input;
  const { uid } = sandbox;
  // As root the namespaces need no user namespace, and the child's account can be one of this machine's.
  const account =
    uid === null
      ? ["--unshare-user", ...ifKnown("--disable-userns"), "--cap-drop", "ALL"]
      : ["--cap-drop", "ALL", ...keep("SETUID", "SETGID", "SETPCAP")];
  return [
    findTool("bwrap") ?? "bwrap",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    ...(makesNetwork ? ["--unshare-net"] : []),
    "--die-with-parent",
    "--new-session",
    ...account,
    ...systemFolders(),
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--perms",
    "1777",
    ...ifKnown("--size", String(TMP_BYTES)),
    "--tmpfs",
    "/tmp",
    ...folder(OWN_FOLDER),
    ...folder("/etc"),
    ...etcMounts(sandbox, OWN_FOLDER),
    ...folder("/var"),
    "--symlink",
    "../tmp",
    "/var/tmp",
    ...childMounts(input),
    "--chdir",
    spec.cwd,
    "--remount-ro",
    "/",
    "--",
    ...(uid === null ? [] : become(uid)),
    ...argv,
  ];
}

/** What an old bubblewrap does not know is left out; `bubblewrapGaps` says what that means. */
const ifKnown = (option: LateOption, ...values: string[]): string[] =>
  knows(option) ? [option, ...values] : [];

const keep = (...names: string[]): string[] =>
  names.flatMap((name) => ["--cap-add", `CAP_${name}`]);

function become(uid: number): string[] {
  return [
    findTool("setpriv") ?? "setpriv",
    "--reuid",
    `${uid}`,
    "--regid",
    `${uid}`,
    "--clear-groups",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
    "--",
  ];
}

function systemFolders(): string[] {
  return SYSTEM_FOLDERS.flatMap((place) => {
    const found = lstatSync(place, { throwIfNoEntry: false });
    if (found === undefined) return [];
    return found.isSymbolicLink()
      ? ["--symlink", readlinkSync(place), place]
      : ["--ro-bind", place, place];
  });
}

/**
 * A folder that every account may pass through, and those above it. bwrap would make them itself, but
 * closed ones, where what it binds there is closed.
 */
function folder(place: string): string[] {
  return place === "/" ? [] : [...folder(path.dirname(place)), "--perms", "0755", "--dir", place];
}

function childMounts({ spec, sandbox, program, extra }: SandboxInput): string[] {
  const { home, paths, hidden, shared } = sandbox;
  const secrets = [...new Set(hidden.flatMap(namesOf))];
  const mounts = visibleFiles({
    program,
    cwd: spec.cwd,
    searchPath: spec.env["PATH"],
    paths,
    hidden: secrets,
  });
  const shown = mounts.flatMap((mount) => [
    ...folder(path.dirname(mount.path)),
    mount.isWritable ? "--bind" : "--ro-bind",
    mount.path,
    mount.path,
  ]);
  const places = [...SYSTEM_FOLDERS, ...mounts.map((mount) => mount.path)];
  const covered = secrets
    .filter((secret) => places.some((place) => secret.startsWith(`${place}/`)))
    .toSorted()
    .flatMap(cover);
  const common = shared
    .filter((place) => existsSync(place))
    .flatMap((place) => [...folder(path.dirname(place)), "--ro-bind", place, place]);
  // Nor must it be a place to fill memory from.
  const closed = covered.flatMap((word, at) =>
    covered[at - 1] === "--tmpfs" ? ["--remount-ro", word] : [],
  );
  const homes = [...folder(path.dirname(home)), "--bind", home, home];
  const own = [...extra].flatMap(([source, place]) => ["--ro-bind", source, place]);
  return [...shown, ...covered, ...common, ...homes, ...closed, ...own];
}

/** A file may be reached by the name in the config and by its real one. */
function namesOf(file: string): string[] {
  try {
    return [file, realpathSync(file)];
  } catch {
    return [file];
  }
}

function cover(secret: string): string[] {
  const found = lstatSync(secret, { throwIfNoEntry: false });
  // What a link leads to is covered under its real name.
  if (found === undefined || found.isSymbolicLink()) return [];
  // A folder of its own: the home, which is in the data folder, is put on top of it.
  return found.isDirectory()
    ? ["--perms", "0755", "--tmpfs", secret]
    : ["--ro-bind", "/dev/null", secret];
}
