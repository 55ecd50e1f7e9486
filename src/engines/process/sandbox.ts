import { existsSync, readlinkSync } from "node:fs";
import path from "node:path";
import { knows } from "./bubblewrap-options.ts";
import { asAccount } from "./guard.ts";
import { findTool } from "./programs.ts";
import { ETC_FOLDERS, etcMounts } from "./sandbox-etc.ts";
import { realNames, maskSecrets, splitFolders } from "./mask.ts";
import { SYSTEM_FOLDERS, isLink, visibleFiles } from "./visible-files.ts";
import type { LateOption } from "./bubblewrap-options.ts";
import type { Sandbox } from "./confinement.ts";
import type { Limits } from "./limits.ts";
import type { RunSpec } from "./run-spec.ts";
import type { Mask } from "./mask.ts";
import type { Mount } from "./visible-files.ts";

/** Folders of a sandbox that are memory; all else that is, is read-only. TMPDIR is on the disk. */
export const MEMORY_FOLDERS = ["/tmp", "/dev/shm"] as const;
/** The most that each of them may hold where the child has no limit of memory. */
const MEMORY_FOLDER_BYTES = 512 * 2 ** 20;

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
  /** The descriptor that bwrap reads a seccomp filter from. */
  filterFd?: number | undefined;
  /** bwrap makes the network namespace; otherwise it is there already. */
  makesNetwork: boolean;
}

/** The command line of bubblewrap for this child. Nothing secret is in it: every account can read it. */
export function bubblewrap(input: SandboxInput): [string, ...string[]] {
  const { spec, sandbox, program, argv, filterFd, makesNetwork } = input;
  const { uid, paths } = sandbox;
  const secrets = realNames(sandbox.hidden);
  const mounts = visibleFiles({
    program,
    cwd: spec.cwd,
    searchPath: spec.env["PATH"],
    paths,
    hidden: secrets,
  });
  const folders = [...SYSTEM_FOLDERS.filter((place) => !isLink(place)), ...ETC_FOLDERS];
  const places = [...folders, ...mounts.map((mount) => mount.path)].filter((place) =>
    existsSync(place),
  );
  const splits = new Map(places.map((place) => [place, splitFolders(place, secrets)]));
  const mask = { secrets, uid, splits };
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
    ...(filterFd === undefined ? [] : ["--seccomp", String(filterFd)]),
    ...systemFolders(mask),
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    ...MEMORY_FOLDERS.flatMap((place) => memoryFolder(place, spec.limits)),
    "--remount-ro",
    "/dev",
    ...folder(OWN_FOLDER),
    ...folder("/etc"),
    ...etcMounts(sandbox, OWN_FOLDER, mask),
    ...folder("/var"),
    "--symlink",
    "../tmp",
    "/var/tmp",
    ...shownFiles(mounts, mask),
    ...ownFiles(input),
    "--chdir",
    spec.cwd,
    ...closed(mask),
    "--remount-ro",
    "/",
    "--",
    ...(uid === null ? [] : become(uid)),
    ...argv,
  ];
}

/** What an old bubblewrap does not know is left out; `bubblewrapFindings` says what that means. */
const ifKnown = (option: LateOption, ...values: string[]): string[] =>
  knows(option) ? [option, ...values] : [];

const keep = (...names: string[]): string[] =>
  names.flatMap((name) => ["--cap-add", `CAP_${name}`]);

function become(uid: number): string[] {
  return [
    findTool("setpriv") ?? "setpriv",
    ...asAccount(uid),
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
    "--",
  ];
}

/** One that every account may write in, as on any machine: POSIX semaphores and shared memory live in /dev/shm. */
function memoryFolder(place: string, { memoryBytes = MEMORY_FOLDER_BYTES }: Limits = {}): string[] {
  return ["--perms", "1777", ...ifKnown("--size", String(memoryBytes)), "--tmpfs", place];
}

function systemFolders(mask: Mask): string[] {
  return SYSTEM_FOLDERS.flatMap((place) => {
    if (isLink(place)) return ["--symlink", readlinkSync(place), place];
    return existsSync(place) ? maskSecrets(place, mask, "--ro-bind") : [];
  });
}

/**
 * A folder that every account may pass through, and those above it. bwrap would make them itself, but
 * closed ones, where what it binds there is closed.
 */
function folder(place: string): string[] {
  return place === "/" ? [] : [...folder(path.dirname(place)), "--perms", "0755", "--dir", place];
}

function shownFiles(mounts: readonly Mount[], mask: Mask): string[] {
  return mounts.flatMap((mount) => [
    ...folder(path.dirname(mount.path)),
    ...maskSecrets(mount.path, mask, mount.isWritable ? "--bind" : "--ro-bind"),
  ]);
}

function ownFiles({ sandbox: { home, tmp, shared }, extra }: SandboxInput): string[] {
  const common = shared
    .filter((place) => existsSync(place))
    .flatMap((place) => [...folder(path.dirname(place)), "--ro-bind", place, place]);
  const own = [...extra].flatMap(([source, place]) => ["--ro-bind", source, place]);
  const writable = [home, ...(tmp === undefined ? [] : [tmp])].flatMap((place) => [
    ...folder(path.dirname(place)),
    "--bind",
    place,
    place,
  ]);
  return [...common, ...writable, ...own];
}

/** What was put together here must not be a place to fill memory from. */
function closed({ splits }: Mask): string[] {
  return [...new Set([...splits.values()].flat())].flatMap((place) => ["--remount-ro", place]);
}
