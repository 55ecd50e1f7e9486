import { bubblewrapFindings } from "./bubblewrap-options.ts";
import { findTool } from "./programs.ts";
import type { Finding } from "./confinement.ts";
import { guardFindings } from "./guard.ts";
import { isRoot, levelFor } from "./levels.ts";
import type { Machine, NamedServer } from "./levels.ts";

const NO_IPCRM: Finding = {
  problem:
    "ipcrm of util-linux is missing: System V segments and queues outlive the children at level user that made them",
  remedy: "install util-linux (apt install util-linux, apk add util-linux)",
};

/** What children of this process lack of what stands around them elsewhere. `servers`: all that it runs. */
export function confinementFindings(machine: Machine, servers: readonly NamedServer[]): Finding[] {
  const areSandboxes = machine.sandbox.length === 0;
  const haveAccounts = servers.some((server) => levelFor(machine, server).level === "user");
  return [
    ...guardFindings(),
    ...(areSandboxes ? bubblewrapFindings(isRoot()) : []),
    ...(haveAccounts && findTool("ipcrm") === undefined ? [NO_IPCRM] : []),
    ...neighbourFindings(machine, servers),
  ];
}

/** A wall keeps a child in, not its neighbours out: what a child's account owns, a program of that account may read. */
function neighbourFindings(machine: Machine, servers: readonly NamedServer[]): Finding[] {
  const levels = servers.map((server) => levelFor(machine, server));
  const namesOf = (isWanted: (level: string) => boolean): string =>
    levels
      .flatMap(({ server, level }) => (level !== null && isWanted(level) ? [server] : []))
      .join(", ");
  const open = namesOf((level) => level === "none");
  const closed = namesOf((level) => level !== "none");
  if (open === "" || closed === "") return [];
  return [
    {
      problem: `children of ${open} run at level none, as the daemon's own account, and can read the tokens of children of ${closed} from outside of what stands around those`,
      remedy: `give ${open} a level too, or a daemon of its own under another account`,
    },
  ];
}
