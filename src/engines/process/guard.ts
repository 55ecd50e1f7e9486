import { findTool, shell } from "./programs.ts";
import type { Finding } from "./confinement.ts";

/** Enough for a busy server, too few to use up what the machine has. */
const MAX_OPEN_FILES = 4096;

/** Variables that the shell adds of its own accord. */
const OF_THE_SHELL = ["PWD", "OLDPWD", "SHLVL"];

/** For a script's end: takes away what the shell added to an environment, of which nothing may be lost. */
export function unsetAdded(env: Readonly<Record<string, string>>): string[] {
  const added = OF_THE_SHELL.filter((name) => !Object.hasOwn(env, name));
  return added.length > 0 ? [`unset ${added.join(" ")}`] : [];
}

/** For setpriv: the account, with the group of the same number and no other. */
export const asAccount = (uid: number): string[] => [
  "--reuid",
  `${uid}`,
  "--regid",
  `${uid}`,
  "--clear-groups",
];

type Argv = readonly [string, ...string[]];

/**
 * A command line under bounds that all it starts inherits: on open files, and no core dump, which
 * would hold a token.
 */
export function limited(argv: Argv): [string, ...string[]] {
  const script = [
    "ulimit -c 0",
    // Where less is allowed already, that stays.
    `ulimit -n ${MAX_OPEN_FILES} 2>/dev/null || :`,
    ...unsetAdded({}),
    'exec "$@"',
  ];
  return [shell(), "-c", script.join("\n"), "sh", ...argv];
}

export interface GuardOptions {
  /** The account to become, with the group of the same number and no other; undefined keeps the daemon's. */
  uid?: number;
  /**
   * The process that starts it, and without which it must not begin. Undefined for what finds out by
   * a pipe that closes.
   */
  parent?: number;
  /** The child's environment, of which nothing may be lost. */
  env: Readonly<Record<string, string>>;
}

/**
 * What every child goes through at every level: no capabilities to inherit, none to gain by a
 * set-user-id program, and death with what started it. Each step replaces the one before, so that
 * the pid is the child's in the end.
 */
export function guarded(argv: Argv, { uid, parent, env }: GuardOptions): Argv {
  const setpriv = findTool("setpriv");
  if (setpriv === undefined) return argv;
  // A change of uid clears the parent-death signal; setpriv sets it after that.
  const become = uid === undefined ? [] : asAccount(uid);
  const drop = ["--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--pdeathsig", "KILL"];
  const check = parent === undefined ? [] : ofParent(parent, env);
  return [setpriv, ...become, ...drop, "--", ...check, ...argv];
}

/** A parent that died before the signal was set sends none any more. */
function ofParent(parent: number, env: GuardOptions["env"]): string[] {
  const script = ['[ "$PPID" = "$1" ] || exit 125', "shift", ...unsetAdded(env), 'exec "$@"'];
  return [shell(), "-c", script.join("\n"), "sh", String(parent)];
}

/** What of the guard is not in force on this machine; nothing on an ordinary one. */
export function guardFindings(): Finding[] {
  if (findTool("setpriv") !== undefined) return [];
  return [
    {
      problem:
        "setpriv of util-linux is missing (BusyBox's does too little): children may gain privileges through set-user-id programs, and may outlive a daemon that is killed",
      remedy: "install util-linux (apt install util-linux, apk add setpriv)",
    },
  ];
}
