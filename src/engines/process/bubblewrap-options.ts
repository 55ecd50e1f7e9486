import { findTool, helpOf } from "./programs.ts";
import { namespaceFilter } from "./namespace-filter.ts";
import type { Finding, Sandbox } from "./confinement.ts";

/** Options that not every bubblewrap has, and since which version it has them. */
const SINCE = { "--size": "0.7", "--disable-userns": "0.8" } as const;
export type LateOption = keyof typeof SINCE;

let offered: ReadonlySet<LateOption> | undefined;

/** Whether the bubblewrap of this machine knows the option; asked of it once. */
export function knows(option: LateOption): boolean {
  offered ??= askFor(findTool("bwrap"));
  return offered.has(option);
}

function askFor(bwrap: string | undefined): ReadonlySet<LateOption> {
  if (bwrap === undefined) return new Set();
  const words = new Set(helpOf(bwrap).split(/\s+/));
  return new Set((Object.keys(SINCE) as LateOption[]).filter((option) => words.has(option)));
}

/**
 * What keeps the processes of a sandbox from making user namespaces where bubblewrap does not: one
 * before 0.8, and any that makes none itself, as for root. Undefined where none is needed or to be had.
 */
export function filterOf({ uid }: Pick<Sandbox, "uid">): Buffer | undefined {
  return uid === null && knows("--disable-userns") ? undefined : namespaceFilter();
}

/** What sandboxes lack here because of this bubblewrap; nothing with a newer one. `isRoot`: they are made without user namespaces. */
export function bubblewrapFindings(isRoot: boolean): Finding[] {
  if (findTool("bwrap") === undefined) return [];
  const findings: Finding[] = [];
  const isForbidden = namespaceFilter() !== undefined || (!isRoot && knows("--disable-userns"));
  if (!knows("--size"))
    findings.push({
      problem:
        "bubblewrap is too old for --size: /tmp and /dev/shm of a sandbox, which are memory, have no bound of their own",
      remedy: `install bubblewrap ${SINCE["--size"]} or later`,
    });
  if (!isForbidden)
    findings.push({
      problem:
        "a child in a sandbox can make user namespaces of its own, inside of the sandbox: the system calls of this processor are not known here",
      remedy: `run the daemon under an ordinary account, with bubblewrap ${SINCE["--disable-userns"]} or later`,
    });
  return findings;
}
