import type { Supervisor } from "./supervisor.ts";

type Listed = Pick<Supervisor, "list">;

const pidsOf = (supervisor: Listed): number[] =>
  supervisor.list().flatMap(({ pid }) => (pid === null ? [] : [pid]));

/** How many children run; remotes are none. */
export const countChildren = (supervisor: Listed): number => pidsOf(supervisor).length;

/** SIGKILL to every child and what it started, without waiting. */
export function killChildren(supervisor: Listed): void {
  for (const pid of pidsOf(supervisor)) {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // It is gone already, which is what was wanted.
    }
  }
}
