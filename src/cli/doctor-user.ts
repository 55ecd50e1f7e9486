import type { Command } from "commander";
import type { Diagnosis, RequestStory, ToldRequest, TokenRow } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { roughDuration, timeTaken } from "../platform/durations.ts";
import { roughSize } from "../platform/sizes.ts";
import { answer, instant, known } from "./output.ts";
import { counted } from "../errors.ts";
import { grantLine } from "./token.ts";
import { variantText } from "./variant.ts";
import { viewHere, wrapped } from "./view.ts";

type Row = Diagnosis["instances"][number];

const MAX_TROUBLES = 3;
const MAX_LINES = 5;

const since = (epochMs: number): string => `${roughDuration((Date.now() - epochMs) / 1000)} ago`;

/** What of the machine an instance has; what is down has nothing. */
function processOf({ pid, place, rssBytes }: Row): string {
  const where = known({ pid, pod: place });
  if (where === "") return "no process";
  return `${where}, ${rssBytes === null ? "memory unknown" : `${roughSize(rssBytes)} of memory`}`;
}

/** What the clients make of it. */
const useOf = ({ sessions, inFlight, restarts }: Row): string =>
  [
    counted(sessions, "session"),
    `${counted(inFlight, "call")} under way`,
    counted(restarts, "restart"),
  ].join(", ");

function instanceLines({ instances }: Diagnosis): string[] {
  if (instances.length === 0) return ["instances: none; the first message starts one"];
  return instances.flatMap((row) => {
    const { server, variant, state, reason, retryAt } = row;
    const again =
      retryAt === null
        ? ""
        : `, tried again in ${roughDuration(Math.max(0, retryAt - Date.now()) / 1000)}`;
    const what = variantText(variant);
    const name = what === null ? server : `${server} (${what})`;
    return [
      `${name}: ${state} since ${instant(row.since)}${reason === null ? "" : ` (${reason})`}${again}`,
      `  ${processOf(row)}, ${useOf(row)}`,
      ...row.troubles
        .slice(0, MAX_TROUBLES)
        .map((trouble) => `  ${since(trouble.at)}, start ${trouble.generation}: ${trouble.reason}`),
      ...(row.lines.length === 0 ? [] : ["  last output:"]),
      ...row.lines.slice(-MAX_LINES).map((line) => `    ${line}`),
    ];
  });
}

function requestLine(told: ToldRequest): string {
  const { at, request, status, code, message, requestId, remoteAddress } = told;
  const outcome = code === null ? String(status) : `${status} ${code}: ${message}`;
  return `  ${since(at)} from ${remoteAddress}: ${request} → ${outcome} (${requestId})`;
}

function tokenLine({ server, fingerprint, expiresAt, grant }: TokenRow): string {
  if (grant !== null) return `  ${grantLine(server, grant)}; expires ${instant(expiresAt)}`;
  const isOver = expiresAt !== null && expiresAt <= Date.now();
  return `  ${server ?? "for all servers"}: ${fingerprint}, ${isOver ? "expired" : "expires"} ${instant(expiresAt)}`;
}

function screen(found: Diagnosis): string[] {
  const { user, cause, next, warnings, refused, lastGood, keys, tokens } = found;
  return [
    cause ?? `${user}: nothing is wrong`,
    ...(next === null ? [] : [`  → ${next}`]),
    ...warnings.map((warning) => `  warning: ${warning}`),
    "",
    ...instanceLines(found),
    tokens.length === 0 ? "tokens: none" : "tokens:",
    ...tokens.map(tokenLine),
    `keys: ${keys.map(({ prefix, label }) => (label === null ? `${prefix}…` : `${prefix}… (${label})`)).join(", ") || "none"}`,
    refused.length === 0 ? "refused requests: none" : "refused requests, the last first:",
    ...refused.flatMap((told) => [
      requestLine(told),
      ...told.details.slice(-MAX_LINES).map((detail) => `    ${detail}`),
    ]),
    ...(lastGood === null ? [] : ["last request that went well:", requestLine(lastGood)]),
  ];
}

/** What is longer than a line of the terminal goes on below, as far in as it began. */
function fitted(lines: readonly string[]): string[] {
  const { width } = viewHere();
  return lines.flatMap((line) => {
    const text = line.trimStart();
    return wrapped(text, line.slice(0, line.length - text.length), width);
  });
}

/** Answers "why is NAME failing?"; the exit code is 1 where there is a cause. */
export async function doctorUser(name: string, command: Command): Promise<void> {
  const client = await clientFor(command);
  const found = await client.call<Diagnosis>("GET", apiPath(["users", name, "doctor"]));
  answer(command, found, fitted(screen(found)));
  if (!found.ok) process.exitCode = 1;
}

function whose(user: string | null, server: string | null): string {
  if (user === null) return server === null ? "" : ` of server ${server}`;
  return server === null ? ` of ${user}` : ` of ${user}/${server}`;
}

function story({ requestId, request, entries }: RequestStory): string[] {
  const lines: string[] = [];
  if (request !== null) {
    const { status, code, message, durationMs, user, keyLabel, server, tool } = request;
    const who =
      user === null
        ? "nobody with a valid key"
        : user + (keyLabel === null ? "" : ` (${keyLabel})`);
    const about = known({ server, tool, start: request.generation });
    lines.push(
      `${requestId}: ${code === null ? `answered with ${status}` : `${status} ${code}: ${message}`}`,
      `  ${request.request}, ${instant(request.at)}, ${timeTaken(durationMs)}`,
      `  by ${who}, from ${request.remoteAddress}, ${request.userAgent}`,
      ...(about === "" ? [] : [`  ${about}`]),
      ...request.details.map((detail) => `    ${detail}`),
    );
  }
  for (const { at, kind, what, outcome, reason, user, server, durationMs } of entries)
    lines.push(
      `${lines.length === 0 ? `${requestId}: ` : "  "}${kind} ${what}${whose(user, server)}: ${outcome}${reason === null ? "" : `, ${reason}`} (${instant(at)}${durationMs === null ? "" : `, ${timeTaken(durationMs)}`})`,
    );
  return lines;
}

/** Tells what became of one request. */
export async function doctorRequest(requestId: string, command: Command): Promise<void> {
  const client = await clientFor(command);
  const found = await client.call<RequestStory>("GET", apiPath(["requests", requestId]));
  answer(command, found, fitted(story(found)));
}
