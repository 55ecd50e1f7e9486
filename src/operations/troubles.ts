import { statfsSync } from "node:fs";
import type { Registry } from "../auth/registry.ts";
import type { Config } from "../config/config.ts";
import { toSupervisorError } from "../errors.ts";
import { isParked } from "../instances/restart-policy.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Look, Trouble, TroubleKind } from "../notices/trouble.ts";
import { DAY_MS } from "../platform/durations.ts";
import { roughSize } from "../platform/sizes.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Tokens } from "../tokens/tokens.ts";
import type { Vault } from "../vault/vault.ts";
import { RefreshEnds } from "./refresh-ends.ts";

/** What ends within this time is told. */
const SOON_MS = 7 * DAY_MS;
/** With less of it the next backup, upgrade or log may fill the disk. */
const LOW_DISK_BYTES = 32 * 1024 * 1024;
/** A name in `meta`, which is written to see whether anything can be. */
const PROBE = "notices looked";

export interface TroubleParts {
  store: Pick<Store, "grants" | "tokens" | "meta" | "relaxed">;
  registry: Pick<Registry, "expiringKeys" | "findUser">;
  supervisor: Pick<Supervisor, "list" | "fallen">;
  tokens: Pick<Tokens, "refusalOf" | "connects">;
  vault: Pick<Vault, "trouble">;
  config: Pick<Config, "providers" | "dataDir">;
  log: Logger;
}

type Source = () => readonly Trouble[];

const nothing = {
  event: 0,
  user: null,
  server: null,
  endsAt: null,
  reason: null,
  connectUrl: null,
};

/** A function that looks at what needs a person. It throws nothing: what cannot be looked at is not known. */
export function troubleFinder(parts: TroubleParts): () => Look {
  const refreshEnds = new RefreshEnds();
  const sources: Record<TroubleKind, Source> = {
    needs_reauth: () => dead(parts),
    refresh_token: () => endingGrants(parts, refreshEnds),
    token: () => endingTokens(parts),
    key: () => endingKeys(parts),
    parked: () => parked(parts),
    provider: () => refusing(parts),
    vault: () => vaultTroubles(parts),
    disk: () => diskTroubles(parts),
  };
  return () => {
    const troubles: Trouble[] = [];
    const known = new Set<TroubleKind>();
    for (const [kind, find] of Object.entries(sources) as [TroubleKind, Source][])
      try {
        troubles.push(...find());
        known.add(kind);
      } catch (err) {
        parts.log.warn({ kind, err }, "what is in trouble cannot be looked at now");
      }
    return { troubles, known, mended: running(parts) };
  };
}

function dead(parts: TroubleParts): Trouble[] {
  return parts.store.grants.ending(0).flatMap(({ user, server, state, since, reason }) => {
    if (state !== "needs_reauth") return [];
    const whose = ofGrant(parts, user, server);
    return [{ ...whose, kind: "needs_reauth", event: since, endsAt: null, reason }];
  });
}

const ofGrant = ({ tokens }: TroubleParts, user: string, server: string) => ({
  about: `${user}/${server}`,
  user,
  server,
  connectUrl: tokens.connects.pageFor(user, server) ?? null,
});

function endingGrants(parts: TroubleParts, ends: RefreshEnds): Trouble[] {
  const now = Date.now();
  const rows = parts.store.grants
    .ending(now + SOON_MS)
    .filter(({ state }) => state !== "needs_reauth");
  return ends.untended(rows).map(({ user, server, refreshExpiresAt: endsAt }) => {
    const whose = ofGrant(parts, user, server);
    return { ...whose, kind: "refresh_token", event: endsAt ?? 0, endsAt, reason: null };
  });
}

function endingTokens({ store }: TroubleParts): Trouble[] {
  return store.tokens.ending(Date.now() + SOON_MS).map(({ user, server: of, expiresAt }) => ({
    ...nothing,
    kind: "token",
    about: `${user}/${of}`,
    event: expiresAt,
    user,
    // The general one has no server.
    server: of === "" ? null : of,
    endsAt: expiresAt,
  }));
}

function endingKeys({ registry }: TroubleParts): Trouble[] {
  return registry.expiringKeys(Date.now() + SOON_MS).flatMap(({ id, user, expiresAt }) => {
    if (registry.findUser(user)?.state !== "enabled") return [];
    const ends = { event: expiresAt ?? 0, endsAt: expiresAt };
    return [{ ...nothing, kind: "key" as const, about: id, user, ...ends }];
  });
}

/** One for each user and server, whatever its variants. One that is tried again is parked until that went well. */
function parked({ supervisor }: TroubleParts): Trouble[] {
  const rows = [...supervisor.list(), ...supervisor.fallen()].filter(isParked);
  const byOwner = new Map(rows.map((row) => [`${row.user}/${row.server}`, row]));
  return [...byOwner].map(([about, { user, server, reason }]) => ({
    ...nothing,
    kind: "parked",
    about,
    user,
    server,
    reason,
  }));
}

/** What serves, and nothing is held against it. */
function running({ supervisor }: TroubleParts): Look["mended"] {
  return supervisor
    .list()
    .filter(({ state, failures }) => state === "ready" && failures === 0)
    .map(({ user, server }) => ({ kind: "parked", about: `${user}/${server}` }));
}

function refusing({ tokens, config }: TroubleParts): Trouble[] {
  return Object.keys(config.providers).flatMap((about) => {
    const reason = tokens.refusalOf(about);
    return reason === undefined ? [] : [{ ...nothing, kind: "provider" as const, about, reason }];
  });
}

function vaultTroubles({ vault }: TroubleParts): Trouble[] {
  const trouble = vault.trouble();
  if (trouble === undefined) return [];
  return [{ ...nothing, kind: "vault", about: "key", reason: trouble.message }];
}

function diskTroubles({ store, config: { dataDir } }: TroubleParts): Trouble[] {
  const disk = { ...nothing, kind: "disk" as const };
  try {
    store.relaxed(() => store.meta.set(PROBE, Buffer.from(String(Date.now()))));
  } catch (error) {
    return [{ ...disk, about: "database", reason: toSupervisorError(error).message }];
  }
  const { bavail, bsize } = statfsSync(dataDir);
  if (bavail * bsize >= LOW_DISK_BYTES) return [];
  return [
    { ...disk, about: "space", reason: `${roughSize(bavail * bsize)} are free in ${dataDir}` },
  ];
}
