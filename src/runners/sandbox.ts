import {
  chmodSync,
  existsSync,
  lstatSync,
  readlinkSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { knows } from "./bubblewrap-options.ts";
import { findTool } from "./programs.ts";
import { SYSTEM_FOLDERS, visibleFiles } from "./visible-files.ts";
import type { LateOption } from "./bubblewrap-options.ts";
import type { Sandbox } from "./confinement.ts";
import type { RunSpec } from "./runner.ts";

/** Of /etc, what programs need to find libraries, names, certificates and the time; none of it is secret. */
const SYSTEM_FILES = [
  "alternatives",
  "ca-certificates",
  "crypto-policies",
  "fonts",
  "gai.conf",
  "host.conf",
  "hosts",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "localtime",
  "mime.types",
  "nsswitch.conf",
  "pki",
  "protocols",
  "python3",
  "services",
  "ssl",
  "timezone",
];

/** slirp4netns answers there, and asks this machine's own resolver. */
const DNS_OF_SLIRP = "nameserver 10.0.2.3\n";

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
    ...systemMounts(sandbox),
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

function systemMounts(sandbox: Sandbox): string[] {
  const folders = SYSTEM_FOLDERS.flatMap((place) => {
    const found = lstatSync(place, { throwIfNoEntry: false });
    if (found === undefined) return [];
    return found.isSymbolicLink()
      ? ["--symlink", readlinkSync(place), place]
      : ["--ro-bind", place, place];
  });
  const etc = folder("/etc");
  const files = SYSTEM_FILES.map((name) => `/etc/${name}`).flatMap((file) => [
    "--ro-bind-try",
    file,
    file,
  ]);
  return [...folders, ...etc, ...files, ...accountFiles(sandbox)];
}

/**
 * A folder that every account may pass through, and those above it. bwrap would make them itself, but
 * closed ones, where what it binds there is closed.
 */
function folder(place: string): string[] {
  return place === "/" ? [] : [...folder(path.dirname(place)), "--perms", "0755", "--dir", place];
}

/** Names for the accounts inside, in place of this machine's list of people. */
function accountFiles({ uid, home, network, socketDir }: Sandbox): string[] {
  const id = uid ?? process.getuid!();
  const group = uid ?? process.getgid!();
  const name = id === 0 ? "root" : "mcp";
  const texts = {
    passwd: `${name}:x:${id}:${group}::${home}:/bin/sh\n`,
    group: `${name}:x:${group}:\n`,
    ...(network === "full" ? { "resolv.conf": DNS_OF_SLIRP } : {}),
  };
  return Object.entries(texts).flatMap(([file, text]) => {
    const source = path.join(socketDir, `etc-${file}-${shortHash(text)}`);
    if (!existsSync(source)) {
      writeFileSync(source, text);
      // Whatever the daemon's umask is, the account inside must be able to read it.
      chmodSync(source, 0o644);
    }
    return ["--ro-bind", source, `/etc/${file}`];
  });
}

/** Enough to tell a handful of texts apart. */
function shortHash(text: string): string {
  let hash = 0;
  for (const char of text) hash = (hash * 31 + char.codePointAt(0)!) % 0x1_0000_0000;
  return hash.toString(36);
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
