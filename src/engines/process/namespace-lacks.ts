import { readFileSync } from "node:fs";
import path from "node:path";
import type { Lack } from "./lacks.ts";

/** A number of the kernel's, by its path below /proc/sys; undefined where this kernel has none of that name. */
type ReadSysctl = (name: string) => number | undefined;

const readSysctl: ReadSysctl = (name) => {
  try {
    return Number(readFileSync(path.join("/proc/sys", name), "latin1"));
  } catch {
    return undefined;
  }
};

const off = (setting: string): Lack => ({
  found: "user namespaces are off",
  run: `sysctl -w ${setting}`,
  next: "and the same in /etc/sysctl.d for the next boot",
});

/** What may keep user namespaces from ordinary accounts that make them with this program, as far as it can be told. */
export function namespaceLacks(program: string, read: ReadSysctl = readSysctl): Lack[] {
  const lacks: Lack[] = [];
  if (read("kernel/unprivileged_userns_clone") === 0)
    lacks.push(off("kernel.unprivileged_userns_clone=1"));
  if (read("user/max_user_namespaces") === 0) lacks.push(off("user.max_user_namespaces=15000"));
  return [...lacks, ...appArmorLacks(program, read)];
}

/** AppArmor lets each program make them by a profile of its own: what holds for one says nothing of another. */
function appArmorLacks(program: string, read: ReadSysctl = readSysctl): Lack[] {
  if (read("kernel/apparmor_restrict_unprivileged_userns") !== 1) return [];
  const name = path.basename(program);
  const profile = `/etc/apparmor.d/${name}`;
  const text = `abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile ${name} ${program} flags=(unconfined) { userns, }\\n`;
  return [
    {
      found: `AppArmor keeps user namespaces from ${program} (Ubuntu 23.10 and later), which has no profile with \`userns,\``,
      run: `sh -c "printf '${text}' > ${profile} && apparmor_parser -r ${profile}"`,
    },
  ];
}

/** What to say where a sandbox could be made, but its network of its own could not. `isRoot`: without a user namespace. */
export function attachLacks(
  { said, unshare, isRoot }: { said: string; unshare: string; isRoot: boolean },
  read: ReadSysctl = readSysctl,
): Lack[] {
  const causes = isRoot ? [] : appArmorLacks(unshare, read);
  const found = `the network could not be attached (${said})`;
  return [...causes, { found }].map((lack) => ({ ...lack, next: WITHOUT_NETWORK }));
}

/** For whoever does without. */
export const WITHOUT_NETWORK = 'or set "network": "none"';
