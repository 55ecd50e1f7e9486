import type { Router } from "express";
import { SupervisorError } from "../errors.ts";
import type { InstanceStatus } from "../instances/supervisor.ts";
import type { RequestRecord } from "../telemetry/request-record.ts";
import { mount, param } from "./answers.ts";
import { causeOf, warningsOf } from "./diagnosis.ts";
import { reportMachine } from "./machine-report.ts";
import type { ControlParts } from "./parts.ts";
import type { Diagnosis, RequestStory, ToldRequest } from "./types.ts";
import { personalUrls } from "../web/urls.ts";

const MAX_TOLD = 10;
const MAX_LINES = 10;

/** What is shown of a request; its path and agent are a stranger's text, and are scrubbed before they are cut. */
function tellRequest(record: RequestRecord, { scrubber }: ControlParts): ToldRequest {
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

/** Whether a user is served, and if not, why. USER_NOT_FOUND. */
async function diagnose(parts: ControlParts, name: string): Promise<Diagnosis> {
  const { registry, tokens, supervisor, journal, publicUrl } = parts;
  const user = registry.requireUser(name);
  const gone = supervisor.fallen({ user: name }).map((row) => ({ ...row, rssBytes: null }));
  const rows = [...(await supervisor.status({ user: name })), ...gone];
  const instances = rows.map((row, at) =>
    rows.findIndex((other) => isSameInstance(other, row)) === at
      ? withHistory(parts, row)
      : withLines(parts, row),
  );
  const failures = journal.failuresOf(name);
  const lastGood = journal.lastGoodOf(name);
  const keys = registry.listKeys(name);
  const stored = tokens.show(name);
  const facts = {
    user,
    now: Date.now(),
    pageFor: (server: string) => tokens.connects.pageFor(name, server),
    url: personalUrls(publicUrl, parts, name)[0]?.sse ?? "",
    instances,
    failures,
    lastGood,
    open: journal.openOf(name),
    errorRuns: journal.errorRunsOf(name),
    refusedReplays: parts.refusedReplays.of(name),
    keys,
    tokens: stored,
  };
  const cause = causeOf(facts);
  return {
    user: name,
    ok: cause === undefined,
    code: cause?.code ?? null,
    cause: cause?.cause ?? null,
    next: cause?.next ?? null,
    warnings: warningsOf(facts, cause),
    state: user.state,
    instances,
    keys,
    tokens: stored,
    refused: failures.slice(0, MAX_TOLD).map((record) => tellRequest(record, parts)),
    lastGood: lastGood === undefined ? null : tellRequest(lastGood, parts),
  };
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

/** What became of one request. NOT_FOUND. */
function tellStory(parts: ControlParts, requestId: string): RequestStory {
  const record = parts.journal.find(requestId);
  const entries = parts.audit.find(requestId);
  if (record === undefined && entries.length === 0)
    throw new SupervisorError(
      "NOT_FOUND",
      "no request of this id is known; refused ones are kept for 90 days, others in memory for a while",
    );
  const request = record === undefined ? null : tellRequest(record, parts);
  return { requestId, request, entries };
}

/** Why a user fails, and what became of one request. */
export function addDoctorRoutes(router: Router, parts: ControlParts): void {
  /** Strangers' text may hold what they should not have sent. */
  const clean = <T extends object>(answer: T): T =>
    JSON.parse(parts.scrubber.scrub(JSON.stringify(answer))) as T;

  mount(router, "/users/:user/doctor", {
    get: async (req) => ({ body: clean(await diagnose(parts, param(req, "user"))) }),
  });
  mount(router, "/machine", {
    get: () => ({ body: clean(reportMachine(parts)) }),
  });
  mount(router, "/requests/:id", {
    get: (req) => ({ body: clean(tellStory(parts, param(req, "id"))) }),
  });
}
