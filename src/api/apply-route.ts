import type { Request, Router } from "express";
import { orderRow } from "../audit/audit.ts";
import { applyRefused, checkWanted } from "../config/apply-schema.ts";
import type { Wanted, WantedToken } from "../config/apply-schema.ts";
import { SupervisorError } from "../errors.ts";
import { applyTokens } from "../operations/apply-tokens.ts";
import { apply } from "../operations/apply.ts";
import type { Change, Entries } from "../operations/apply.ts";
import { isOneTimeSecret } from "../platform/one-time.ts";
import { inviteUrl } from "../web/urls.ts";
import { mount } from "./answers.ts";
import { isObject, readBody, readBoolean } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import type { AppliedRow } from "./types.ts";

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

function wantedIn({ users, groups }: Record<string, unknown>): Wanted {
  const checked = checkWanted({ users, groups });
  if ("wanted" in checked) return checked.wanted;
  throw applyRefused(checked.problems);
}

/** Secrets by users' names. What is said of a flaw repeats none of them. */
function secretsIn(value: unknown, kind: Entries["kind"]): Entries["secrets"] {
  if (!isObject(value) || !Object.values(value).every((secret) => typeof secret === "string"))
    throw invalid(`${kind} must be an object of strings by users' names`);
  const secrets = Object.values(value);
  if (new Set(secrets).size < secrets.length)
    throw invalid(`${kind}: two users cannot have the same`);
  if (kind === "invites" && secrets.some((secret) => !isOneTimeSecret(String(secret))))
    throw invalid("invites: each must be 32 random bytes in base64url");
  return value as Entries["secrets"];
}

function entriesIn({ keys, invites }: Record<string, unknown>): Entries | undefined {
  if (keys !== undefined && invites !== undefined)
    throw invalid("there may be keys or invites, and not both");
  if (keys !== undefined) return { kind: "keys", secrets: secretsIn(keys, "keys") };
  if (invites === undefined) return undefined;
  return { kind: "invites", secrets: secretsIn(invites, "invites") };
}

const KEYS = ["users", "groups", "tokens", "dryRun", "prune", "keys", "invites"];

/** What is said of a flaw repeats no token. */
function tokensIn(value: unknown): WantedToken[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw invalid("tokens must be a list");
  return value.map((one: unknown, at) => {
    const { user, server, token, ...more } = { ...(one as Partial<WantedToken> | null) };
    const isRight =
      typeof user === "string" &&
      (server === null || typeof server === "string") &&
      typeof token === "string" &&
      Object.keys(more).length === 0;
    if (!isRight) throw invalid(`tokens[${at}] must have user, server (or null) and token alone`);
    return { user, server, token };
  });
}

interface Noted {
  what: string;
  user: string | null;
  server: string | null;
}

/** A row for each thing that was changed, whoever it is about, beside that of the order. */
function note({ audit }: ControlParts, req: Request, rows: readonly Noted[]): void {
  const { requestId, who } = req.res!.locals;
  for (const { what, user, server } of rows) {
    const about = { what: `apply: ${what}`, user, server, durationMs: 0 };
    audit.add(orderRow({ ...about, requestId: String(requestId), who: String(who) }, undefined));
  }
}

/** The order of the command line that does the same. */
const ORDERS: Record<Change["change"], string> = {
  "add-user": "user add",
  "set-user": "user set",
  "enable-user": "user enable",
  "disable-user": "user disable",
  "add-group": "group add",
  "remove-group": "group remove",
  "add-member": "group add",
  "remove-member": "group remove",
  grant: "user grant",
  ungrant: "user ungrant",
};

function noteOf(one: Change): Noted {
  const order = ORDERS[one.change];
  if (!("to" in one)) {
    const what = "group" in one ? `${order} ${one.group}` : order;
    return { what, user: "user" in one ? one.user : null, server: null };
  }
  const { to, server } = one;
  return to.startsWith("@")
    ? { what: `${order} ${to}`, user: null, server }
    : { what: order, user: to, server };
}

/** Users, groups and grants, all of them as they are wanted or none. */
export function addApplyRoute(router: Router, parts: ControlParts): void {
  const { registry, catalog, store, publicUrl } = parts;
  mount(router, "/apply", {
    post: (req): { body: AppliedRow } => {
      const body = readBody(req, KEYS);
      const isDryRun = readBoolean(body["dryRun"], "dryRun");
      const prune = readBoolean(body["prune"], "prune");
      const entries = entriesIn(body);
      const order = { wanted: wantedIn(body), isDryRun, prune, entries };
      const wantedTokens = tokensIn(body["tokens"]);
      const done = apply({ registry, catalog, store }, order);
      if (!isDryRun) note(parts, req, done.changes.map(noteOf));
      const changed = { dryRun: isDryRun, changes: done.changes, open: done.open };
      const tokens = wantedTokens && applyTokens(parts, wantedTokens, isDryRun);
      if (!isDryRun)
        note(
          parts,
          req,
          (tokens ?? []).map((one) => ({ what: "token set", ...one })),
        );
      const row = tokens === undefined ? changed : { ...changed, tokens };
      if (entries === undefined || isDryRun) return { body: row };
      if (entries.kind === "keys")
        return { body: { ...row, keys: done.entries.map(({ user }) => user) } };
      const invites = done.entries.map(({ user, expiresAt }) => ({
        user,
        url: inviteUrl(publicUrl, entries.secrets[user]!),
        expiresAt: expiresAt!,
      }));
      return { body: { ...row, invites } };
    },
  });
}
