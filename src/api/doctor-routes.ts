import type { Router } from "express";
import { SupervisorError } from "../errors.ts";
import { mount, param } from "./answers.ts";
import { running } from "./daemon-checks.ts";
import { diagnose, tellRequest } from "./diagnose.ts";
import { readCount, readQuery } from "./input.ts";
import { ofConfigRead } from "./machine-checks.ts";
import { reportMachine } from "./machine-report.ts";
import type { ControlParts } from "./parts.ts";
import type { MachineDoctor } from "./panel-types.ts";
import { scrubbed } from "./scrubbed.ts";
import type { RequestStory, ToldRequest } from "./types.ts";

const MAX_REQUESTS = 1_000;
const DEFAULT_REQUESTS = 100;

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
  mount(router, "/users/:user/doctor", {
    get: async (req) => ({ body: await diagnose(parts, param(req, "user")) }),
  });
  mount(router, "/machine", {
    get: () => ({ body: scrubbed(parts, reportMachine(parts)) }),
  });
  mount(router, "/doctor", {
    get: (): { body: MachineDoctor } => {
      const report = reportMachine(parts);
      const findings = [...running(report), ...ofConfigRead(parts.config, report.levels)];
      const isOk = findings.every(({ outcome }) => outcome !== "failed");
      return { body: scrubbed(parts, { ok: isOk, findings }) };
    },
  });
  mount(router, "/requests", {
    get: (req): { body: { requests: ToldRequest[] } } => {
      const user = readQuery(req, "user");
      const limit = readCount(req, "limit", MAX_REQUESTS) ?? DEFAULT_REQUESTS;
      const ofUser = parts.journal
        .all()
        .filter((one) => user === undefined || one.user === user || one.pathUser === user);
      const requests = ofUser.slice(0, limit).map((record) => tellRequest(record, parts));
      return { body: scrubbed(parts, { requests }) };
    },
  });
  mount(router, "/requests/:id", {
    get: (req) => ({ body: scrubbed(parts, tellStory(parts, param(req, "id"))) }),
  });
}
