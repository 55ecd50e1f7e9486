import { findTool, helpOf } from "./programs.ts";
import type { Gap } from "./confinement.ts";

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

const GAPS: Record<LateOption, string> = {
  "--size": "/tmp and /dev/shm of a sandbox, which are memory, have no bound of their own",
  "--disable-userns":
    "a child in a sandbox can make user namespaces of its own, inside of the sandbox",
};

/** What sandboxes lack here because bubblewrap is old; nothing with a newer one. `isRoot`: they are made without user namespaces. */
export function bubblewrapGaps(isRoot: boolean): Gap[] {
  if (findTool("bwrap") === undefined) return [];
  const wanted: LateOption[] = isRoot ? ["--size"] : ["--size", "--disable-userns"];
  return wanted
    .filter((option) => !knows(option))
    .map((option) => ({
      found: `bubblewrap is too old for ${option}: ${GAPS[option]}`,
      next: `install bubblewrap ${SINCE[option]} or later`,
    }));
}
