import type { Router } from "express";
import { SupervisorError } from "../errors.ts";
import type { RequestRecord } from "../telemetry/requests.ts";
import { mount, param } from "./answers.ts";
import { causeOf, warningsOf } from "./diagnosis.ts";
import { reportMachine } from "./machine-report.ts";
import type { ControlParts } from "./parts.ts";
import type { Diagnosis, RequestStory, ToldRequest } from "./types.ts";
import { personalUrls } from "./urls.ts";

const MAX_TOLD = 10;
const MAX_LINES = 10;

/** What is shown of a request; its path and agent are a stranger's text, and are scrubbed before they are cut. */
function tellRequest(record: RequestRecord, scrub: (text: string) => string): ToldRequest {
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

/** Why a user fails, and what became of one request. */
export function addDoctorRoutes(router: Router, parts: ControlParts): void {
  const { registry, tokens, supervisor, journal, audit, scrubber, publicUrl } = parts;

  const told = (record: RequestRecord): ToldRequest =>
    tellRequest(record, (text) => scrubber.scrub(text));

  /** Strangers' text may hold what they should not have sent. */
  const clean = <T extends object>(answer: T): T =>
    JSON.parse(scrubber.scrub(JSON.stringify(answer))) as T;

  const diagnose = async (name: string): Promise<Diagnosis> => {
    const user = registry.requireUser(name);
    const gone = supervisor.fallen({ user: name }).map((row) => ({ ...row, rssBytes: null }));
    const rows = [...(await supervisor.status({ user: name })), ...gone];
    const instances = rows.map((row) => ({
      ...row,
      troubles: supervisor.troubles(row),
      lastStartMs: supervisor.lastStartMs(row.server) ?? null,
      lines: supervisor
        .logs(row)
        .slice(-MAX_LINES)
        .map(({ text }) => text),
    }));
    const failures = journal.failuresOf(name);
    const lastGood = journal.lastGoodOf(name);
    const keys = registry.listKeys(name);
    const stored = tokens.show(name);
    const now = Date.now();
    const url = personalUrls(publicUrl, parts, name)[0]?.sse ?? "";
    const open = journal.openOf(name);
    const errorRuns = journal.errorRunsOf(name);
    const known = { instances, failures, lastGood, open, errorRuns, keys, tokens: stored };
    const facts = { user, now, url, ...known };
    const cause = causeOf(facts);
    return clean({
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
      refused: failures.slice(0, MAX_TOLD).map(told),
      lastGood: lastGood === undefined ? null : told(lastGood),
    });
  };

  const tell = (requestId: string): RequestStory => {
    const record = journal.find(requestId);
    const entries = audit.find(requestId);
    if (record === undefined && entries.length === 0)
      throw new SupervisorError(
        "NOT_FOUND",
        "no such request is remembered: refused ones are for 90 days, others for a while",
      );
    return clean({ requestId, request: record === undefined ? null : told(record), entries });
  };

  mount(router, "/users/:user/doctor", {
    get: async (req) => ({ body: await diagnose(param(req, "user")) }),
  });
  mount(router, "/machine", {
    get: () => ({ body: clean(reportMachine(parts)) }),
  });
  mount(router, "/requests/:id", { get: (req) => ({ body: tell(param(req, "id")) }) });
}
