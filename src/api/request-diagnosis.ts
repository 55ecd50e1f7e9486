import { A_JWT } from "../auth/key-invalid.ts";
import { ERROR_CODES, counted } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import type { RequestRecord } from "../telemetry/request-record.ts";
import { LOOK_AT_LOG, MAX_LINE, RECENT_MS, expiredFor } from "./facts.ts";
import type { Cause, Facts } from "./facts.ts";

/**
 * What the client that asked most recently met last, where that was a refusal. One that was followed
 * by a message that went well, of this client or another, is over, and so is that of a server which did
 * not start then and runs since: it stands in the list of refusals.
 */
export function refusedRequest(facts: Facts): Cause | undefined {
  const { now, failures, lastGood } = facts;
  const last = failures.find((record) => !isFeeler(record));
  if (last === undefined || now - last.at >= RECENT_MS) return undefined;
  if (lastGood !== undefined && lastGood.requestId > last.requestId) return undefined;
  if (runsSince(last, facts)) return undefined;
  const isOurs = statusOf(last.failure!.code) >= 500;
  const expired = isOurs && last.server !== null ? expiredFor(facts, last.server) : undefined;
  return expired ?? causeOfRequest(last, facts);
}

/** What is answered where no child can be had. */
const NOT_STARTED: ReadonlySet<string> = new Set<ErrorCode>([
  "INSTANCE_SPAWN_FAILED",
  "INSTANCE_EXITED",
  "INSTANCE_START_TIMEOUT",
  "INSTANCE_BACKING_OFF",
  "TOKEN_MISSING",
]);

const runsSince = ({ server, at, failure }: RequestRecord, { instances }: Facts): boolean =>
  NOT_STARTED.has(failure!.code) &&
  instances.some((row) => row.server === server && row.state === "ready" && row.since > at);

/** Clients feel their way with these before or after what they really want, and expect to be refused. */
const isFeeler = ({ method, failure }: RequestRecord): boolean =>
  method === "DELETE" || (method === "GET" && failure?.code === "METHOD_NOT_ALLOWED");

/** Requests go well, and what the server answers to calls is that they failed. */
export function failingCalls(facts: Facts): Cause | undefined {
  const { user, now, errorRuns } = facts;
  const { name } = user;
  const run = errorRuns.find(({ at }) => now - at < RECENT_MS);
  if (run === undefined) return undefined;
  const { server, count } = run;
  const tool = run.tool.slice(0, MAX_TOOL);
  const what =
    count === 1
      ? `the last call, of ${tool}, with an error`
      : `the last ${counted(count, "call")} with errors, at last one of ${tool}`;
  const expired = expiredFor(facts, server);
  if (expired !== undefined) return expired;
  return {
    code: "CALLS_FAIL",
    cause: `${name}/${server}: it runs and answers, but the server itself answered ${what}`,
    next: `the client shows the error; mcp-supervisor logs ${name} --server ${server}`,
  };
}

const MAX_TOOL = 80;

const statusOf = (code: string): number =>
  Object.hasOwn(ERROR_CODES, code) ? ERROR_CODES[code as ErrorCode].status : 0;

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
      return cause(
        detail ?? "a client uses an access key that was never issued here",
        detail?.startsWith(A_JWT) === true ? `a new token of the issuer, or ${newKey}` : newKey,
      );
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
        `a client uses a host name that is not one of the gateway's (${detail ?? "unknown"})`,
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
