import { existsSync } from "node:fs";
import { SupervisorError } from "../../errors.ts";
import { remedyFor } from "../../engines/process/lacks.ts";
import { isRoot, levelFor } from "../../engines/process/levels.ts";
import type { Finding } from "../../api/finding.ts";
import * as checks from "../../api/machine-checks.ts";
import { accountLike, probe, probeAs, wantedBy } from "../probe.ts";
import type { ServicePlace } from "./place.ts";

/** What keeps the service from starting as it should, found out before anything is made. */
export interface Preflight {
  /** What the machine and the config lack. */
  missing: string[];
  /** One line for a shell that brings all of it that can be typed. */
  remedy: string | null;
  warnings: string[];
}

/**
 * All that `doctor` checks, for the account that the service is to have; where that is not made yet,
 * for one like it. Rejects with SERVICE_REFUSED where the account cannot run this program.
 */
export async function examinePlace({ config, unit }: ServicePlace): Promise<Preflight> {
  // Accounts for children are for a daemon that is root, which the service is not.
  const wanted = wantedBy({ ...config, uids: null });
  const { machine, gaps } = isRoot()
    ? probeAs(accountLike(unit.user), wanted)
    : await probe(wanted);
  const levels = wanted.servers.map((server) => levelFor(machine, server));
  const lacks = levels.flatMap((each) => (each.level === null ? each.lacks : []));
  const keyFile = unit.keyFile !== null && existsSync(unit.keyFile) ? unit.keyFile : config.keyFile;
  const others = [
    ...levels.map(checks.level).filter(({ outcome }) => outcome === "warning"),
    ...checks.gaps(gaps),
    ...checks.ofConfig(config, levels),
    checks.vaultKey({ dataDir: config.dataDir, keyFile }),
  ];
  const told = (outcome: Finding["outcome"]): string[] =>
    others
      .filter((finding) => finding.outcome === outcome)
      .map(({ check, found, next }) => `${check}: ${found}${next === null ? "" : `; ${next}`}`);
  const notes = lacks.flatMap(({ next }) => next ?? []);
  return {
    missing: [...new Set([...lacks.map(({ found }) => found), ...told("failed"), ...notes])],
    remedy: remedyFor(lacks) ?? null,
    warnings: told("warning"),
  };
}

/** What is missing, one thing a line, and the line that brings it. */
export const preflightLines = ({ missing, remedy }: Preflight): string[] => [
  ...missing.map((each) => `missing: ${each}`),
  ...(remedy === null ? [] : ["this brings what can be installed or switched on:", `  ${remedy}`]),
];

/** SERVICE_REFUSED where something is missing, with all of it. */
export function requireNothing(found: Preflight): void {
  if (found.missing.length > 0)
    throw new SupervisorError(
      "SERVICE_REFUSED",
      "the service would not start here, so nothing was changed",
      { details: preflightLines(found) },
    );
}
