import { readFileSync } from "node:fs";
import path from "node:path";

/** A number of the kernel's, by its path below /proc/sys; undefined where this kernel has none of that name. */
export type ReadSysctl = (name: string) => number | undefined;

const readSysctl: ReadSysctl = (name) => {
  try {
    return Number(readFileSync(path.join("/proc/sys", name), "latin1"));
  } catch {
    return undefined;
  }
};

/** What may keep user namespaces from ordinary accounts that make them with this program, as far as it can be told. */
export function namespaceLines(program: string, read: ReadSysctl = readSysctl): string[] {
  const lines: string[] = [];
  if (read("kernel/unprivileged_userns_clone") === 0)
    lines.push("user namespaces are off: sysctl kernel.unprivileged_userns_clone=1");
  if (read("user/max_user_namespaces") === 0)
    lines.push("user namespaces are off: sysctl user.max_user_namespaces=15000");
  return [...lines, ...appArmorLines(program, read)];
}

/** AppArmor lets each program make them by a profile of its own: what holds for one says nothing of another. */
export function appArmorLines(program: string, read: ReadSysctl = readSysctl): string[] {
  if (read("kernel/apparmor_restrict_unprivileged_userns") !== 1) return [];
  const profile = `/etc/apparmor.d/${path.basename(program)}`;
  return [
    `AppArmor keeps user namespaces from ${program} (Ubuntu 23.10 and later): give it a profile with \`userns,\` in ${profile} and load it with apparmor_parser -r`,
  ];
}

/** What to say where a sandbox could be made, but its network of its own could not. `isRoot`: without a user namespace. */
export function attachLines(
  { said, unshare, isRoot }: { said: string; unshare: string; isRoot: boolean },
  read: ReadSysctl = readSysctl,
): string[] {
  const without = 'or set "network": "none"';
  const causes = isRoot ? [] : appArmorLines(unshare, read).map((line) => `${line}, ${without}`);
  return [...causes, `the network could not be attached (${said}), ${without}`];
}
