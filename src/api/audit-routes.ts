import type { Router } from "express";
import { mount } from "./answers.ts";
import { readCount, readQuery } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import type { AuditLog } from "./types.ts";

const DEFAULT_LIMIT = 1_000;
const MAX_LIMIT = 10_000;

/** Who did what. Users who are gone have rows still, so a name is not checked. */
export function addAuditRoutes(router: Router, { audit }: ControlParts): void {
  mount(router, "/audit", {
    get: (req): { body: AuditLog } => {
      const user = readQuery(req, "user");
      const outcome = readQuery(req, "outcome");
      const since = readCount(req, "since");
      const limit = readCount(req, "limit", MAX_LIMIT) ?? DEFAULT_LIMIT;
      return { body: { entries: audit.list({ user, since, outcome, limit }).toReversed() } };
    },
  });
}
