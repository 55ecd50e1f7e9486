import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  realpathSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { putInPlace } from "../../platform/atomic-file.ts";
import { maskSecrets } from "./mask.ts";
import type { Sandbox } from "./confinement.ts";
import type { Mask } from "./mask.ts";

/** Of /etc, what programs need to find libraries, names, certificates and the time; none of it is secret. */
const FILES = [
  "gai.conf",
  "host.conf",
  "hosts",
  "ld.so.cache",
  "localtime",
  "mime.types",
  "nsswitch.conf",
  "protocols",
  "services",
  "timezone",
];
export const ETC_FOLDERS = [
  "/etc/alternatives",
  "/etc/ca-certificates",
  "/etc/crypto-policies",
  "/etc/fonts",
  "/etc/pki",
  "/etc/python3",
  "/etc/ssl",
];

/** slirp4netns answers there, and asks this machine's own resolver. */
const DNS_OF_SLIRP = "nameserver 10.0.2.3\n";

/**
 * The /etc of a sandbox, as arguments of bubblewrap. Every mount of its own costs a start a third of
 * a millisecond: files are copies in one folder, kept up to date, that links lead into. `own` is the
 * folder inside for what the daemon brings in. Throws the system's error when a copy cannot be made.
 */
export function etcMounts(sandbox: Sandbox, own: string, mask: Mask): string[] {
  const { socketDir, paths } = sandbox;
  const wanted = new Set([...paths.read, ...paths.write]);
  const common = path.join(socketDir, "etc");
  mkdirSync(common, { recursive: true });
  // Whatever the daemon's umask is, the account inside must be able to read it.
  chmodSync(common, 0o755);
  const isOurs = (name: string): boolean => !wanted.has(`/etc/${name}`);
  const links = FILES.filter(isOurs).flatMap((name) => {
    const target = ofTheSystem(`/etc/${name}`);
    if (target !== undefined) return ["--symlink", target, `/etc/${name}`];
    const isThere = follow(`/etc/${name}`, path.join(common, name));
    return isThere ? ["--symlink", `${own}/etc/${name}`, `/etc/${name}`] : [];
  });
  const folders = ETC_FOLDERS.filter((folder) => existsSync(folder)).flatMap((folder) =>
    maskSecrets(folder, mask, "--ro-bind"),
  );
  const account = accountFiles(sandbox);
  const accountLinks = account.names
    .filter(isOurs)
    .flatMap((name) => ["--symlink", `${own}/account/${name}`, `/etc/${name}`]);
  const mounts = ["--ro-bind", common, `${own}/etc`, "--ro-bind", account.folder, `${own}/account`];
  return [...mounts, ...links, ...folders, ...accountLinks];
}

/** Where a link leads that a child can follow itself; the name of a time zone is in it. */
function ofTheSystem(file: string): string | undefined {
  try {
    const target = realpathSync(file);
    return target.startsWith("/usr/") ? target : undefined;
  } catch {
    return undefined;
  }
}

/** Makes `copy` what `file` is. Returns false where there is none, or none that is ours to read. */
function follow(file: string, copy: string): boolean {
  const now = statSync(file, { throwIfNoEntry: false });
  if (now?.isFile() !== true) {
    rmSync(copy, { force: true });
    return false;
  }
  const last = statSync(copy, { throwIfNoEntry: false });
  if (last?.size === now.size && Math.abs(last.mtimeMs - now.mtimeMs) < 1) return true;
  try {
    put(copy, (draft) => {
      copyFileSync(file, draft);
      utimesSync(draft, now.atime, now.mtime);
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") return false;
    throw error;
  }
}

/** Names for the accounts inside, in place of this machine's list of people. */
function accountFiles({ uid, home, network, socketDir }: Sandbox) {
  const id = uid ?? process.getuid!();
  const group = uid ?? process.getgid!();
  const name = id === 0 ? "root" : "mcp";
  const texts = Object.entries({
    passwd: `${name}:x:${id}:${group}::${home}:/bin/sh\n`,
    group: `${name}:x:${group}:\n`,
    ...(network === "full" ? { "resolv.conf": DNS_OF_SLIRP } : {}),
  });
  const hash = createHash("sha256").update(texts.join()).digest("hex");
  const folder = path.join(socketDir, `account-${hash.slice(0, 16)}`);
  if (!existsSync(folder)) {
    put(folder, (draft) => {
      mkdirSync(draft, { recursive: true });
      for (const [file, text] of texts) {
        writeFileSync(path.join(draft, file), text);
        chmodSync(path.join(draft, file), 0o644);
      }
    });
  }
  return { folder, names: texts.map(([file]) => file) };
}

/** A child that starts meanwhile sees it whole or not at all. */
function put(place: string, make: (draft: string) => void): void {
  putInPlace(place, (draft) => {
    make(draft);
    chmodSync(draft, statSync(draft).isDirectory() ? 0o755 : 0o644);
  });
}
