import { readFileSync, statSync } from "node:fs";
import { childServers, isPodServer } from "../config/child-servers.ts";
import type { OwnerKind } from "../containment.ts";
import { isFailing } from "./failing.ts";
import { gapsOf } from "./gaps.ts";
import { levelFor } from "../engines/process/levels.ts";
import { isCredential } from "../vault/key-file.ts";
import type { ControlParts } from "./parts.ts";
import type { MachineReport } from "./types.ts";

function keyOf(file: string): MachineReport["key"] {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode;
  return { file, isCredential: isCredential(file), mode: mode === undefined ? null : mode & 0o777 };
}

/** How many files this process may have open; null where it has no bound, or the system does not say. */
function openFiles(): number | null {
  try {
    const limits = readFileSync("/proc/self/limits", "latin1");
    const soft = /^Max open files +(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? null : Number(soft);
  } catch {
    return null;
  }
}

/** Instances that somebody should look at. */
function troubled({ supervisor }: ControlParts): MachineReport["troubled"] {
  return [...supervisor.list(), ...supervisor.fallen()].flatMap((row) => {
    if (!isFailing(row)) return [];
    const { user, server, reason } = row;
    return [{ user, server, reason: reason ?? supervisor.failuresOf(row)[0]?.reason ?? "failed" }];
  });
}

/** Providers that give nobody a token, whatever the user. */
function refusing({ config, tokens }: ControlParts): MachineReport["refusing"] {
  return Object.keys(config.providers).flatMap((provider) => {
    const reason = tokens.refusalOf(provider);
    return reason === undefined ? [] : [{ provider, reason }];
  });
}

function policies({ catalog, networks }: ControlParts): MachineReport["policies"] {
  const pods = catalog.list().filter(isPodServer);
  if (pods.length === 0 || networks === null) return null;
  return pods.every(({ pod }) => pod.networkPolicy === "assumed") ? "assumed" : networks.last;
}

/** What the admin's own process could not find out, or only for its own account. */
export function reportMachine(parts: ControlParts): MachineReport {
  const { config, version, supervisor, isolation, unkept, controllers, metrics } = parts;
  const children = childServers(parts.catalog.list());
  return {
    version,
    pid: process.pid,
    isolation: supervisor.isolationLevel,
    levels: children.map((def) => levelFor(isolation.machine, def)),
    gaps: gapsOf(isolation.machine, children),
    key: keyOf(config.keyFile),
    policies: policies(parts),
    exposed: supervisor.exposedServers,
    unkept: [...unkept],
    controllers: [...controllers],
    openFiles: openFiles(),
    contained: metrics
      .samples("contained")
      .map(({ labels, value }) => ({ owner: labels["owner"] as OwnerKind, count: value })),
    troubled: troubled(parts),
    refusing: refusing(parts),
    unsavedSessions: parts.sessions.records?.failure?.message ?? null,
  };
}
