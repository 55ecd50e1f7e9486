import { findTool } from "./programs.ts";

/** Enough for a busy server, too few to use up what the machine has. */
const MAX_OPEN_FILES = 4096;

/** Variables that the shell adds of its own accord. */
const OF_THE_SHELL = ["PWD", "OLDPWD", "SHLVL"];

export interface GuardOptions {
  /** The account to become, with the group of the same number and no other; undefined keeps the daemon's. */
  uid?: number;
  /** The process that starts it. */
  parent: number;
  /** The child's environment, of which nothing may be lost. */
  env: Readonly<Record<string, string>>;
}

type Argv = readonly [string, ...string[]];

/**
 * What every child goes through at every level: no capabilities to inherit, none to gain by a
 * set-user-id program, no core dump (it would hold the token), a bound on open files, and death
 * with the daemon. Each step replaces the one before, so that the pid is the child's in the end.
 */
export function guarded(argv: Argv, options: GuardOptions): [string, ...string[]] {
  const shell = findTool("sh") ?? "/bin/sh";
  const setpriv = findTool("setpriv");
  const inner = [shell, "-c", script(options, setpriv !== undefined), "sh"];
  if (setpriv === undefined) return [inner[0]!, ...inner.slice(1), ...argv];
  const { uid } = options;
  // A change of uid clears the parent-death signal; setpriv sets it after that.
  const become =
    uid === undefined ? [] : ["--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups"];
  const drop = ["--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--pdeathsig", "KILL"];
  return [setpriv, ...become, ...drop, "--", ...inner, String(options.parent), ...argv];
}

function script({ env }: GuardOptions, hasDeathSignal: boolean): string {
  const extra = OF_THE_SHELL.filter((name) => !Object.hasOwn(env, name));
  return [
    // A daemon that died before the signal was set sends none any more.
    ...(hasDeathSignal ? ['[ "$PPID" = "$1" ] || exit 125', "shift"] : []),
    "ulimit -c 0",
    // Where less is allowed already, that stays.
    `ulimit -n ${MAX_OPEN_FILES} 2>/dev/null || :`,
    ...(extra.length > 0 ? [`unset ${extra.join(" ")}`] : []),
    'exec "$@"',
  ].join("\n");
}

/** What of the guard is not in force on this machine, in words for the admin; nothing on an ordinary one. */
export function guardGaps(): string[] {
  if (findTool("setpriv") !== undefined) return [];
  return [
    "setpriv is missing (package util-linux): children may gain privileges through set-user-id programs, and outlive a daemon that is killed",
  ];
}
