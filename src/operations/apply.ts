import type { Registry } from "../auth/registry.ts";
import { applyRefused } from "../config/apply-schema.ts";
import type { Wanted, WantedUser } from "../config/apply-schema.ts";
import { SupervisorError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import { planOf } from "./apply-plan.ts";
import type { Change, Plan, PlanParts } from "./apply-plan.ts";

export type { Change } from "./apply-plan.ts";

export interface ApplyParts extends PlanParts {
  store: Pick<Store, "users" | "access" | "transaction">;
  registry: Registry;
}

/**
 * What lets new users in: access keys, or the codes of invites, by the users' names. Whoever applies
 * brings them, so that they are kept before they are good for anything and none is lost.
 */
export interface Entries {
  kind: "keys" | "invites";
  secrets: Readonly<Record<string, string>>;
}

export interface ApplyOrder {
  wanted: Wanted;
  isDryRun: boolean;
  prune: boolean;
  entries: Entries | undefined;
}

/** Whose entry is good, and until when. */
export interface LetIn {
  user: string;
  expiresAt: number | null;
}

export interface Applied extends Pick<Plan, "changes" | "open"> {
  /** Those of the order's entries that let their users in now. */
  entries: LetIn[];
}

/**
 * Makes users, groups and grants as they are wanted, all or nothing; a dry run says what would change.
 * REQUEST_INVALID, with all that is wrong as details.
 */
export function apply(parts: ApplyParts, order: ApplyOrder): Applied {
  const { wanted, isDryRun, prune, entries } = order;
  return parts.store.transaction(() => {
    const { changes, open, problems } = planOf(parts, wanted, prune);
    if (problems.length > 0) throw applyRefused(problems);
    if (isDryRun) return { changes, open, entries: [] };
    change(parts, wanted, changes);
    const added = changes.flatMap((one) => (one.change === "add-user" ? [one.user] : []));
    return { changes, open, entries: entries === undefined ? [] : letIn(parts, entries, added) };
  });
}

function change(parts: ApplyParts, wanted: Wanted, changes: readonly Change[]): void {
  const { store, registry } = parts;
  const byName = new Map(wanted.users.map((user) => [user.name, user]));
  for (const one of changes) changeOne(parts, byName, one);
  const removed = changes.filter((one) => one.change === "remove-member");
  for (const [group, rows] of Map.groupBy(removed, (one) => one.group))
    registry.access.removeMembers(
      group,
      rows.map(({ user }) => user),
    );
  // One whom the file names again is not held to have been left out.
  for (const { id, name, applied } of store.users.list())
    if (applied === "pruned" && byName.has(name)) store.users.setApplied(id, "made");
}

function changeOne(
  { store, registry }: ApplyParts,
  byName: ReadonlyMap<string, WantedUser>,
  one: Change,
): void {
  const { access } = registry;
  switch (one.change) {
    case "add-user": {
      const { displayName = null, email = null } = byName.get(one.user)!;
      registry.addUser(one.user, { fullName: displayName, email });
      return store.users.setApplied(store.users.find(one.user)!.id, "made");
    }
    case "set-user": {
      const row = store.users.find(one.user)!;
      const { displayName = row.fullName, email = row.email } = byName.get(one.user)!;
      return store.users.setAbout(row.id, { fullName: displayName, email });
    }
    case "enable-user":
      return void registry.enableUser(one.user);
    case "disable-user":
      registry.disableUser(one.user);
      if (byName.has(one.user)) return;
      return store.users.setApplied(store.users.find(one.user)!.id, "pruned");
    case "add-group":
      return void access.addGroup(one.group, [], true);
    case "remove-group":
      return void access.removeGroup(one.group);
    case "add-member":
      return void access.addGroup(one.group, [one.user], true);
    case "grant":
      return void access.grant(one.to, one.server, true);
    case "ungrant":
      return void access.ungrant(one.to, one.server);
    case "remove-member":
    // Those of a group go together.
  }
}

/** Gives the new users what was brought for them, and says which of all that was brought is good. */
function letIn(parts: ApplyParts, entries: Entries, added: readonly string[]): LetIn[] {
  const { kind, secrets } = entries;
  const lacking = added.find((user) => !Object.hasOwn(secrets, user));
  if (lacking !== undefined)
    throw new SupervisorError(
      "REQUEST_INVALID",
      `${kind}: there is none for ${lacking}, who would be a new user: the list of users has changed since these were made`,
    );
  const isNew = new Set(added);
  return Object.entries(secrets).flatMap(([user, secret]): LetIn[] => {
    const until = isNew.has(user) ? give : goodUntil;
    const expiresAt = until(parts, kind, user, secret);
    return expiresAt === undefined ? [] : [{ user, expiresAt }];
  });
}

/** Until when what was brought is good, which it is from here on; null for ever. */
function give(
  { registry }: ApplyParts,
  kind: Entries["kind"],
  user: string,
  secret: string,
): number | null {
  if (kind === "invites") return registry.invites.create(user, secret).expiresAt;
  if (registry.hasKey(user, secret) !== undefined)
    throw new SupervisorError("REQUEST_INVALID", `keys: the one for ${user} is not new`);
  return registry.issueKey(user, {}, secret).expiresAt;
}

/** As `give`, of what an order before this one may have given; undefined where it is not good. */
function goodUntil(
  { registry }: ApplyParts,
  kind: Entries["kind"],
  user: string,
  secret: string,
): number | null | undefined {
  if (registry.findUser(user) === undefined) return undefined;
  if (kind === "invites") return registry.invites.expiryOf(user, secret);
  return registry.hasKey(user, secret) === true ? null : undefined;
}
