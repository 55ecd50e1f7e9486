import type { User } from "../auth/registry.ts";
import { hasBegun } from "../instances/instance-row.ts";
import type { InstanceStatus } from "../instances/supervisor.ts";
import type { RequestRecord } from "../telemetry/request-record.ts";
import { personalUrls } from "../web/urls.ts";
import { causeOf, warningsOf } from "./diagnosis.ts";
import type { Cause } from "./facts.ts";
import type { ControlParts } from "./parts.ts";
import { scrubbed } from "./scrubbed.ts";
import type { Diagnosis, ToldRequest } from "./types.ts";

const MAX_TOLD = 10;
const MAX_LINES = 10;

/** What is shown of a request; its path and agent are a stranger's text, and are scrubbed before they are cut. */
export function tellRequest(record: RequestRecord, { scrubber }: ControlParts): ToldRequest {
  const scrub = (text: string): string => scrubber.scrub(text);
  const { requestId, at, method, path, status, durationMs, remoteAddress, userAgent } = record;
  const { user, server, tool, keyLabel, generation, failure } = record;
  return {
    requestId,
    at,
    request: `${method} ${scrub(path).slice(0, 200)}`,
    status,
    durationMs,
    remoteAddress,
    userAgent: scrub(userAgent).slice(0, 160),
    user,
    server,
    tool: tool === null ? null : scrub(tool).slice(0, 80),
    keyLabel,
    generation,
    code: failure?.code ?? null,
    message: failure?.message ?? null,
    details: failure?.details ?? [],
  };
}

/** All that is known of a user whose instances these are, beside those that are gone. */
function factsOf(parts: ControlParts, user: User, there: readonly InstanceStatus[]) {
  const { tokens, supervisor, journal, publicUrl, registry } = parts;
  const { name } = user;
  const gone = supervisor.fallen({ user: name }).map((row) => ({ ...row, rssBytes: null }));
  const rows = [...there, ...gone];
  const instances = rows.map((row, at) =>
    rows.findIndex((other) => isSameInstance(other, row)) === at
      ? withHistory(parts, row)
      : withLines(parts, row),
  );
  return {
    user,
    now: Date.now(),
    pageFor: (server: string) => tokens.connects.pageFor(name, server),
    url: personalUrls(publicUrl, parts, name)[0]?.sse ?? "",
    instances,
    failures: journal.failuresOf(name),
    lastGood: journal.lastGoodOf(name),
    open: journal.openOf(name),
    errorRuns: journal.errorRunsOf(name),
    refusedReplays: parts.refusedReplays.of(name),
    keys: registry.listKeys(name),
    tokens: tokens.show(name),
  };
}

/** Why the user fails, as `doctor` has it; undefined where nothing is wrong. Looks at no process. */
export function causeNow(parts: ControlParts, user: User): Cause | undefined {
  const rows = parts.supervisor.rows({ user: user.name }).filter(hasBegun);
  const unmeasured = rows.map((row) => ({ ...row, rssBytes: null }));
  return causeOf(factsOf(parts, user, unmeasured));
}

/** Whether a user is served, and if not, why. USER_NOT_FOUND. */
export async function diagnose(parts: ControlParts, name: string): Promise<Diagnosis> {
  const user = parts.registry.requireUser(name);
  return diagnoseFrom(parts, user, await parts.supervisor.status({ user: name }));
}

/** As `diagnose`, for whoever has asked for the user's instances already. */
export function diagnoseFrom(
  parts: ControlParts,
  user: User,
  there: readonly InstanceStatus[],
): Diagnosis {
  const facts = factsOf(parts, user, there);
  const { instances, keys, tokens, failures, lastGood } = facts;
  const cause = causeOf(facts);
  const told: Diagnosis = {
    user: user.name,
    ok: cause === undefined,
    code: cause?.code ?? null,
    cause: cause?.cause ?? null,
    next: cause?.next ?? null,
    warnings: warningsOf(facts, cause),
    state: user.state,
    instances,
    keys,
    tokens,
    refused: failures.slice(0, MAX_TOLD).map((record) => tellRequest(record, parts)),
    lastGood: lastGood === undefined ? null : tellRequest(lastGood, parts),
  };
  return scrubbed(parts, told);
}

const isSameInstance = (a: InstanceStatus, b: InstanceStatus): boolean =>
  a.server === b.server && a.variant === b.variant;

function withHistory(
  { supervisor }: ControlParts,
  row: InstanceStatus,
): Diagnosis["instances"][number] {
  const troubles = supervisor.failuresOf(row);
  const lastStartMs = supervisor.lastStartMs(row.server) ?? null;
  return { ...row, troubles, lastStartMs, lines: lastOf(supervisor.logs(row)) };
}

/** Another generation of an instance that is told of already. */
function withLines(
  { supervisor }: ControlParts,
  row: InstanceStatus,
): Diagnosis["instances"][number] {
  const lines = supervisor.logs(row).filter(({ generation }) => generation === row.generation);
  return { ...row, troubles: [], lastStartMs: null, lines: lastOf(lines) };
}

const lastOf = (lines: readonly { readonly text: string }[]): string[] =>
  lines.slice(-MAX_LINES).map(({ text }) => text);
