import { ERROR_CODES, counted } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import type { RequestRecord } from "../observability/requests.ts";
import type { AccessKey, User } from "../registry/registry.ts";
import type { InstanceStatus, Trouble } from "../supervisor/supervisor.ts";
import type { StoredToken } from "../tokens/tokens.ts";

/** All that is known about a user; what the cause is told from. */
export interface Facts {
  user: User;
  now: number;
  instances: readonly (InstanceStatus & { troubles: readonly Trouble[] })[];
  /** The newest first. */
  failures: readonly RequestRecord[];
  lastGood: RequestRecord | undefined;
  keys: readonly AccessKey[];
  tokens: readonly StoredToken[];
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
const RECENT_MS = 3_600_000;
/** Lines in which programs say what is wrong. */
const TELLING =
  /error|exception|cannot|can't|could not|not found|no module|denied|refused|in use|invalid|fatal|panic|missing|unauthori[sz]ed/i;
/** Where a stack trace begins, the cause stands before it or at its very end. */
const STACK = /^\s+(at |File "|in )|^Traceback|^Node\.js v|^\s*\^+\s*$/;
const MAX_LINE = 200;
const LOOK_AT_LOG = 'look for "contained" in the log of the daemon, and report what you find there';

/**
 * Why the user is failing, as one sentence, or undefined where nothing says so: what is down comes
 * first, then what was refused last, then what is about to fail. A token that has expired is the
 * cause of what fails with it, and of nothing else.
 */
export function causeOf(facts: Facts): Cause | undefined {
  return (
    disabled(facts) ??
    failingInstance(facts) ??
    refusedRequest(facts) ??
    expiredInUse(facts) ??
    noKey(facts) ??
    strained(facts)
  );
}

function disabled({ user: { name, state } }: Facts): Cause | undefined {
  if (state === "enabled") return undefined;
  return state === "disabled"
    ? {
        code: "USER_DISABLED",
        cause: `${name} is disabled: no key opens anything, no child runs`,
        next: `mcp-supervisor user enable ${name}`,
      }
    : {
        code: "USER_REMOVING",
        cause: `${name} is being removed, and the removal is not finished`,
        next: `mcp-supervisor user remove ${name}`,
      };
}

/** What is no cause of any failure yet, a sentence for each. */
export function warningsOf(facts: Facts, cause: Cause | undefined): string[] {
  return facts.tokens.flatMap((token) => {
    const found = ifExpired(facts, token);
    return found === undefined || found.cause === cause?.cause ? [] : [found.cause];
  });
}

/** The token that the server is given has expired. */
function expiredFor(facts: Facts, server: string): Cause | undefined {
  const own = facts.tokens.find((token) => token.server === server);
  const given = own ?? facts.tokens.find((token) => token.server === null);
  return given && ifExpired(facts, given);
}

function ifExpired(
  { user: { name }, now }: Facts,
  { server, expiresAt }: StoredToken,
): Cause | undefined {
  if (expiresAt === null || expiresAt > now) return undefined;
  const which = server === null ? "general token" : `token for ${server}`;
  const flag = server === null ? "" : ` --server ${server}`;
  return {
    code: "TOKEN_EXPIRED",
    cause: `${name}'s ${which} expired ${ago(now - expiresAt)} ago`,
    next: `mcp-supervisor token set ${name}${flag}`,
  };
}

/** Nothing failed here, but the calls of a child with such a token do, where it takes them. */
function expiredInUse(facts: Facts): Cause | undefined {
  for (const { server } of facts.instances) {
    const expired = expiredFor(facts, server);
    if (expired !== undefined) return expired;
  }
  return undefined;
}

function failingInstance(facts: Facts): Cause | undefined {
  const failing = facts.instances
    .filter(({ state, troubles }) => state !== "ready" && troubles.length > 0)
    .toSorted((a, b) => b.troubles[0]!.at - a.troubles[0]!.at);
  for (const instance of failing) {
    const { user, server, failures, reason } = instance;
    const trouble = instance.troubles[0]!;
    // Stopped since, by an admin or for want of use: an old failure is no failure now.
    if (failures === 0 && reason !== trouble.reason) continue;
    const expired = expiredFor(facts, server);
    if (expired !== undefined) return expired;
    const loop = loopOf(instance, facts.now);
    return {
      code: trouble.code ?? "INSTANCE_EXITED",
      cause: `${user}/${server}: the child ${trouble.reason}${said(trouble)}${loop}`,
      next: remedyFor(trouble, user, server),
    };
  }
  return undefined;
}

function loopOf(
  { user, server, state, failures, retryAt }: Facts["instances"][number],
  now: number,
): string {
  const times = counted(failures, "failure");
  if (state === "starting") return `; ${times} in a row, and the next start is under way`;
  if (retryAt === null) return "";
  const wait = ago(Math.max(0, retryAt - now));
  if (state === "parked")
    return `; parked after ${times} in a row, until "mcp-supervisor restart ${user} --server ${server}", a new token or config, or a message in ${wait}`;
  return failures > 1 ? `; ${times}, tried again in ${wait}` : "";
}

/** What the child itself had to say, if one of its last lines sounds like it. */
function said({ lines }: Trouble): string {
  const own = lines.filter((line) => !STACK.test(line) && line.trim() !== "");
  const telling = own.findLast((line) => TELLING.test(line)) ?? own.at(-1);
  return telling === undefined ? "" : `: ${telling.trim().slice(0, MAX_LINE)}`;
}

function remedyFor({ code, reason, lines }: Trouble, user: string, server: string): string {
  if (code === "TOKEN_MISSING") return `mcp-supervisor token set ${user} --server ${server}`;
  if (code === "INTERNAL") return LOOK_AT_LOG;
  if (code === "DISK_FULL") return "make room on the disk; the next message starts the child";
  if (code === "INSTANCE_SPAWN_FAILED")
    return `look at command, args and cwd of servers.${server} in the config`;
  if (reason.includes("over ")) return `raise servers.${server}.limits.memory, or see why it grows`;
  if (lines.some((line) => line.startsWith("[the child wrote")))
    return "stdout of a stdio server is for messages alone: let it log to stderr";
  if (code === "INSTANCE_START_TIMEOUT" && reason.includes("nothing listens"))
    return `does servers.${server} listen on \${port}? it must, on 127.0.0.1`;
  if (code === "INSTANCE_START_TIMEOUT") return "raise startTimeout, or see why it is so slow";
  return `mcp-supervisor logs ${user} --server ${server}`;
}

function refusedRequest(facts: Facts): Cause | undefined {
  const { now, failures, lastGood } = facts;
  const recent = failures.filter(({ at }) => now - at < RECENT_MS);
  // What the server or the child did wrong is over once a request went well again.
  const current = recent.find(({ status, failure, requestId }) => {
    const isOurs = failure !== null && statusOf(failure.code) >= 500;
    // A client that is told on its stream to begin with initialize does so.
    return isOurs ? !isLater(lastGood, requestId) : status >= 300;
  });
  if (current === undefined) return undefined;
  const { status, server } = current;
  const expired = status >= 500 && server !== null ? expiredFor(facts, server) : undefined;
  return expired ?? causeOfRequest(current, facts);
}

const statusOf = (code: string): number =>
  Object.hasOwn(ERROR_CODES, code) ? ERROR_CODES[code as ErrorCode].status : 0;

const isLater = (good: RequestRecord | undefined, requestId: string): boolean =>
  good !== undefined && good.route !== "sse" && good.requestId > requestId;

function causeOfRequest(record: RequestRecord, facts: Facts): Cause {
  const { user, url } = facts;
  const failure = record.failure!;
  const { name } = user;
  const request = `${record.method} ${record.path.slice(0, MAX_LINE)}`;
  const cause = (sentence: string, next: string): Cause => ({
    code: failure.code,
    cause: `${name}: ${sentence}`,
    next,
  });
  const [detail] = failure.details;
  const newKey = `mcp-supervisor key issue ${name}, and put the new key into the client`;
  switch (failure.code) {
    case "KEY_INVALID":
    case "TOO_MANY_FAILURES":
      return cause(detail ?? "a client uses an access key that was never issued here", newKey);
    case "KEY_MISSING":
      return cause("a client sends no access key", "Authorization: Bearer mcps_…, or ?token=");
    case "USER_MISMATCH":
      return record.user === name
        ? cause(`the access key of ${name} is used on another path: ${request}`, `use ${url}`)
        : cause(`the access key of ${record.user} is used on ${name}'s path`, newKey);
    case "NOT_FOUND":
      return cause(`a client asks for a path that is not there: ${request}`, `use ${url}`);
    case "METHOD_NOT_ALLOWED":
      return cause(`a client speaks another transport than the path: ${request}`, `use ${url}`);
    case "SERVER_NOT_FOUND":
      return cause(`a client asks for a server that is not there: ${request}`, `use ${url}`);
    case "HOST_REFUSED":
      return cause(
        `a client uses a host name that the gateway does not go by (${detail ?? "unknown"})`,
        "add it to allowedHosts in the config, or set publicUrl",
      );
    case "ORIGIN_REFUSED":
      return cause(
        `a web page of an origin that may not call the gateway was refused (${detail ?? "unknown"})`,
        "add it to allowedOrigins in the config",
      );
    case "BODY_TOO_LARGE":
      return cause(`a client sent too much: ${failure.message}`, "raise limits.bodyBytes");
    case "TOO_MANY_STREAMS":
      return cause(
        `too many streams: ${failure.message.replace(/^\S+: /, "")}`,
        "let clients close what they do not use, or raise limits.streamsPerUser",
      );
    default:
      return { ...cause("", nextFor(failure.code, name)), cause: withName(name, failure.message) };
  }
}

const withName = (name: string, message: string): string =>
  message.startsWith(`${name}/`) ? message : `${name}: ${message}`;

function nextFor(code: string, name: string): string {
  if (code === "UPSTREAM_REFUSED")
    return "is the remote server up, and its url in the config right?";
  if (code === "INTERNAL") return LOOK_AT_LOG;
  if (code === "UPSTREAM_INVALID") return `mcp-supervisor token set ${name}`;
  if (code === "SESSION_LOST" || code === "SESSION_NOT_FOUND")
    return "the client has to connect again";
  return `mcp-supervisor logs ${name}`;
}

function noKey({ user: { name }, keys, now }: Facts): Cause | undefined {
  if (keys.some(({ expiresAt }) => expiresAt === null || expiresAt > now)) return undefined;
  return {
    code: "KEY_MISSING",
    cause:
      keys.length === 0 ? `${name} has no access key` : `every access key of ${name} has expired`,
    next: `mcp-supervisor key issue ${name}`,
  };
}

/** It serves, at a limit. */
function strained({ instances }: Facts): Cause | undefined {
  const found = instances.find(({ state, reason }) => state === "ready" && reason !== null);
  if (found === undefined) return undefined;
  const isFlood = found.reason?.includes("written more") === true;
  return {
    code: "INSTANCE_LIMIT",
    cause: `${found.user}/${found.server}: the child ${found.reason}`,
    next: isFlood
      ? `mcp-supervisor logs ${found.user} --server ${found.server} shows what it writes: let it write less`
      : `${found.reason?.includes("limit") ? "raise" : "set"} servers.${found.server}.limits, or see why it needs so much`,
  };
}

/** A length of time in its largest whole unit. */
function ago(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} d`;
}
