import { spokenDuration } from "../platform/durations.ts";
import type { ErrorRun } from "../telemetry/journal.ts";
import type { RequestRecord } from "../telemetry/request-record.ts";
import type { RefusedReplay } from "../telemetry/survival.ts";
import type { AccessKey, User } from "../auth/registry.ts";
import type { InstanceStatus, InstanceFailure } from "../instances/supervisor.ts";
import type { StoredGrant, StoredToken } from "../tokens/tokens.ts";

/** All that is known about a user; what the cause is told from. */
export interface Facts {
  user: User;
  now: number;
  instances: readonly (InstanceStatus & {
    troubles: readonly InstanceFailure[];
    /** The last lines it wrote. */
    lines: readonly string[];
    /** How long the last good start of this server took, for whomever; null where none is known. */
    lastStartMs: number | null;
  })[];
  /** What the user's clients wait for. */
  open: readonly RequestRecord[];
  /** The latest first. */
  errorRuns: readonly ErrorRun[];
  /** The latest of each server, the latest first. */
  refusedReplays: readonly RefusedReplay[];
  /** The newest first. */
  failures: readonly RequestRecord[];
  lastGood: RequestRecord | undefined;
  keys: readonly AccessKey[];
  tokens: readonly StoredToken[];
  /** Where the user connects an account for the server, where there is such a page. */
  pageFor: (server: string) => string | undefined;
  /** Where the user's clients should go. */
  url: string;
}

export interface Cause {
  /** A code of the error catalogue, or a word of the same kind. */
  code: string;
  /** One sentence that begins with the user's name. */
  cause: string;
  /** What to do about it. */
  next: string;
}

/** What was refused longer ago says little about now. */
export const RECENT_MS = 3_600_000;
/** Of one line of a child or a client, where it is told in a sentence. */
export const MAX_LINE = 200;
/** What to do about a failure that nobody foresaw. */
export const LOOK_AT_LOG =
  'look for "contained" in the log of the daemon, and report what you find there';

/** The token that the server is given has expired. */
export function expiredFor(facts: Facts, server: string): Cause | undefined {
  const own = facts.tokens.find((token) => token.server === server);
  const given = own ?? facts.tokens.find((token) => token.server === null);
  return given && ifExpired(facts, given);
}

export function ifExpired(facts: Facts, token: StoredToken): Cause | undefined {
  const { user, now } = facts;
  const { server, expiresAt, grant } = token;
  if (grant !== null) return ifOver(facts, token, grant);
  if (expiresAt === null || expiresAt > now) return undefined;
  const flag = server === null ? "" : ` --server ${server}`;
  return {
    code: "TOKEN_EXPIRED",
    cause: `${user.name}'s ${nameOf(token)} expired ${spokenDuration(now - expiresAt)} ago`,
    next: `mcp-supervisor token set ${user.name}${flag}`,
  };
}

/** One of a provider that is over, and no new one is to be had. One that nobody uses may be over: it is refreshed when it is wanted. */
function ifOver(
  { user, now, pageFor }: Facts,
  token: StoredToken,
  grant: StoredGrant,
): Cause | undefined {
  if (token.expiresAt !== null && token.expiresAt > now) return undefined;
  const { provider, needsReauth, lastResult } = grant;
  const what = `${user.name}'s ${nameOf(token)} is over, and ${provider}`;
  const order = `${user.name} --server ${token.server ?? ""}`;
  if (needsReauth !== null) {
    const page = pageFor(token.server ?? "");
    const inBrowser = page === undefined ? "" : `${user.name} opens ${page} , or `;
    return {
      code: "TOKEN_EXPIRED",
      cause: `${what} refreshes it no more: ${needsReauth.reason}`,
      next: `${inBrowser}mcp-supervisor token set ${order} --refresh-token-stdin`,
    };
  }
  if (lastResult === null || lastResult === "ok") return undefined;
  return {
    code: "TOKEN_EXPIRED",
    cause: `${what} gives no new one: ${lastResult}`,
    next: `mcp-supervisor token refresh ${order}`,
  };
}

/** A token that serves still, and will be over before long. */
export function ifDying({ user, now, pageFor }: Facts, token: StoredToken): string | undefined {
  const { expiresAt, grant } = token;
  if (grant === null || grant.needsReauth === null) return undefined;
  if (expiresAt === null || expiresAt <= now) return undefined;
  const { reason } = grant.needsReauth;
  const page = pageFor(token.server ?? "");
  const where = page === undefined ? "" : `; ${user.name} connects it anew at ${page}`;
  return `${user.name}'s ${nameOf(token)} is over in ${spokenDuration(expiresAt - now)}, and ${grant.provider} refreshes it no more: ${reason}${where}`;
}

const nameOf = ({ server }: StoredToken): string =>
  server === null ? "general token" : `token for ${server}`;
