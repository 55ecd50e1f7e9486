import type { Request, Router } from "express";
import { SupervisorError } from "../errors.ts";
import { mount } from "./answers.ts";
import { readQuery } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import type { AuditLog } from "./types.ts";

const DEFAULT_LIMIT = 1_000;
const MAX_LIMIT = 10_000;

function readNumber(req: Request, name: string, most: number): number | undefined {
  const text = readQuery(req, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value <= most) return value;
  throw new SupervisorError("REQUEST_INVALID", `${name} must be a whole number, at most ${most}`);
}

/** Who did what. Users who are gone have rows still, so a name is not checked. */
export function addAuditRoutes(router: Router, { audit }: ControlParts): void {
  mount(router, "/audit", {
    get: (req): { body: AuditLog } => {
      const user = readQuery(req, "user");
      const since = readNumber(req, "since", Number.MAX_SAFE_INTEGER);
      const limit = readNumber(req, "limit", MAX_LIMIT) ?? DEFAULT_LIMIT;
      return { body: { entries: audit.list({ user, since, limit }).toReversed() } };
    },
  });
}
