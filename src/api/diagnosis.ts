import { counted } from "../errors.ts";
import type { InstanceFailure } from "../instances/supervisor.ts";
import { isPodLevel } from "../engines/kubernetes/pod-level.ts";
import { spokenDuration } from "../platform/durations.ts";
import { LOOK_AT_LOG, MAX_LINE, RECENT_MS, expiredFor, ifDying, ifExpired } from "./facts.ts";
import type { Cause, Facts } from "./facts.ts";
import { podRemedy } from "./pod-remedies.ts";
import { failingCalls, refusedRequest } from "./request-diagnosis.ts";

/** Lines in which programs say what is wrong. */
const TELLING =
  /error|exception|cannot|can't|could not|not found|no module|denied|refused|in use|invalid|fatal|panic|missing|unauthori[sz]ed/i;
/** Where a stack trace begins, the cause stands before it or at its very end. */
const STACK = /^\s+(at |File "|in )|^Traceback|^Node\.js v|^\s*\^+\s*$/;

/**
 * Why the user is failing, as one sentence, or undefined where nothing says so: first what is going on
 * now, then what was met last, then calls that the server itself fails, then what is about to fail. A
 * token that has expired is the cause of what fails with it, and of nothing else.
 */
export function causeOf(facts: Facts): Cause | undefined {
  return (
    disabled(facts) ??
    failingInstance(facts) ??
    unreplaced(facts) ??
    pendingPod(facts) ??
    hangingStart(facts) ??
    refusedRequest(facts) ??
    failingCalls(facts) ??
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
        cause: `${name} is being removed, and the removal could not be finished`,
        next: `mcp-supervisor user remove ${name}`,
      };
}

/** What is no cause of any failure yet, or is over, a sentence for each. */
export function warningsOf(facts: Facts, cause: Cause | undefined): string[] {
  const expired = facts.tokens.flatMap((token) => {
    const found = ifExpired(facts, token);
    return found === undefined || found.cause === cause?.cause ? [] : [found.cause];
  });
  const dying = facts.tokens.flatMap((token) => ifDying(facts, token) ?? []);
  return [...expired, ...dying, ...endedSessions(facts)];
}

/** Clients that had to begin anew: the next child was not what the last one had been. */
function endedSessions({ user: { name }, now, refusedReplays }: Facts): string[] {
  return refusedReplays
    .filter(({ at }) => now - at < RECENT_MS)
    .map(
      ({ server, reason, at }) =>
        `${name}/${server}: a session could not go on with the next child ${spokenDuration(now - at)} ago, and its client had to begin anew: the server ${reason}`,
    );
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
      next: remedyFor(trouble, instance),
    };
  }
  return undefined;
}

/** It serves, and another one that is to take over from it fails to start. */
function unreplaced(facts: Facts): Cause | undefined {
  const found = facts.instances.find((row) => row.state === "ready" && row.retryAt !== null);
  if (found === undefined) return undefined;
  const { user, server, reason, retryAt, troubles } = found;
  const [trouble] = troubles;
  const expired = expiredFor(facts, server);
  if (expired !== undefined) return expired;
  const wait = spokenDuration(Math.max(0, retryAt! - facts.now));
  return {
    code: trouble?.code ?? "INSTANCE_EXITED",
    cause: `${user}/${server}: the child ${reason}${trouble === undefined ? "" : said(trouble)}; it goes on serving, and its replacement is tried again in ${wait}`,
    next:
      trouble === undefined
        ? `mcp-supervisor logs ${user} --server ${server}`
        : remedyFor(trouble, found),
  };
}

type Instance = Facts["instances"][number];

/** A pod that does not run yet, and the cluster says what it waits for. */
function pendingPod({ now, instances }: Facts): Cause | undefined {
  const found = instances.find(({ state, reason }) => state === "starting" && reason !== null);
  if (found?.reason == null) return undefined;
  const { user, server, reason, since } = found;
  return {
    code: "INSTANCE_PENDING",
    cause: `${user}/${server}: its pod has been waiting for ${spokenDuration(now - since)}: ${reason}`,
    next: podRemedy(reason, server) ?? `mcp-supervisor logs ${user} --server ${server}`,
  };
}

/** Longer than most starts take; a server that is known to be slower has twice its own time. */
const SLOW_START_MS = 3_000;

/** A start that takes suspiciously long, be it of an instance or of the child that is asked which era its server speaks. */
function hangingStart({ user: { name }, now, instances, open }: Facts): Cause | undefined {
  const posts = open.filter(({ method, server }) => method === "POST" && server !== null);
  const servers = new Set([...instances, ...posts].map(({ server }) => server!));
  for (const server of servers) {
    const rows = instances.filter((row) => row.server === server);
    const starting = rows.find(({ state }) => state === "starting");
    const waiting = posts.filter((post) => post.server === server);
    if (starting === undefined && rows.some(({ state }) => state !== "stopped")) continue;
    const since = starting?.since ?? Math.min(...waiting.map(({ at }) => at));
    const lastMs = rows.find(({ lastStartMs }) => lastStartMs !== null)?.lastStartMs ?? 0;
    if (now - since <= Math.max(SLOW_START_MS, 2 * lastMs)) continue;
    const good = lastMs > 0 ? `, where the last good one took ${spokenDuration(lastMs)}` : "";
    const isBeside = rows.some(
      ({ state, variant }) => state === "ready" && variant === starting?.variant,
    );
    const who = isBeside
      ? "the child before it goes on serving"
      : waiting.length === 0
        ? "nobody waits for it any more"
        : `${counted(waiting.length, "request")} ${waiting.length === 1 ? "waits" : "wait"} for it`;
    return {
      code: "START_SLOW",
      cause: `${name}/${server}: the start has been under way for ${spokenDuration(now - since)}${good}; ${who}${wordOf(starting?.lines ?? [])}`,
      next: `mcp-supervisor logs ${name} --server ${server}`,
    };
  }
  return undefined;
}

function loopOf({ user, server, state, failures, retryAt }: Instance, now: number): string {
  const times = counted(failures, "failure");
  const inARow = counted(failures, "failure", "failures in a row");
  if (state === "starting") return `; ${inARow}, and the next start is under way`;
  if (retryAt === null) return "";
  const wait = spokenDuration(Math.max(0, retryAt - now));
  if (state === "parked")
    return `; parked after ${inARow}, until "mcp-supervisor restart ${user} --server ${server}", a new token or config, or a message in ${wait}`;
  return failures > 1 ? `; ${times}, tried again in ${wait}` : "";
}

/** What the child itself had to say, if one of its last lines sounds like it. */
const said = ({ lines }: InstanceFailure): string => wordOf(lines);

function wordOf(lines: readonly string[]): string {
  const own = lines.filter((line) => !STACK.test(line) && line.trim() !== "");
  const telling = own.findLast((line) => TELLING.test(line)) ?? own.at(-1);
  return telling === undefined ? "" : `: ${telling.trim().slice(0, MAX_LINE)}`;
}

const isPod = ({ isolation }: Instance): boolean => isPodLevel(isolation);

function remedyFor({ code, reason, lines }: InstanceFailure, instance: Instance): string {
  const { user, server } = instance;
  const ofCluster = isPod(instance) ? podRemedy(reason, server) : undefined;
  if (ofCluster !== undefined) return ofCluster;
  if (code === "TOKEN_MISSING") return `mcp-supervisor token set ${user} --server ${server}`;
  if (code === "INTERNAL") return LOOK_AT_LOG;
  if (code === "DISK_FULL") return "make room on the disk; the next message starts the child";
  if (code === "INSTANCE_SPAWN_FAILED")
    return `look at command, args and cwd of servers.${server} in the config${isPod(instance) ? ": they mean its image" : ""}`;
  if (reason.includes("over ")) return `raise servers.${server}.limits.memory, or see why it grows`;
  if (lines.some((line) => line.startsWith("[the child wrote")))
    return "stdout of a stdio server is for messages alone: let it log to stderr";
  if (code === "INSTANCE_START_TIMEOUT" && reason.includes("nothing listens"))
    return `let servers.${server} listen on \${port} of 127.0.0.1`;
  if (code === "INSTANCE_START_TIMEOUT") return "raise startTimeout, or see why it is so slow";
  return `mcp-supervisor logs ${user} --server ${server}`;
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
      ? `mcp-supervisor logs ${found.user} --server ${found.server} shows what of that is no message to a client: let it write less`
      : `${found.reason?.includes("limit") ? "raise" : "set"} servers.${found.server}.limits, or see why it needs so much`,
  };
}
