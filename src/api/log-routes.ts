import type { Request, Response, Router } from "express";
import { onAbort } from "../platform/abort.ts";
import { guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { LogLine, Ref } from "../instances/supervisor.ts";
import { LOG_OUTCOMES } from "../instances/output-log.ts";
import type { LogOutcome } from "../instances/output-log.ts";
import { mount } from "./answers.ts";
import { readCount, readQuery } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import type { LogRow } from "./types.ts";
import { readSubject } from "./subjects.ts";

/** A reader that is this far behind is stuck; a child that floods must not fill the daemon for it. */
const MAX_BEHIND_BYTES = 1024 * 1024;

interface Wanted {
  user: string;
  server: string | undefined;
  /** Of the kept lines those from this time on (epoch ms), and of these the last so many. */
  since: number | undefined;
  limit: number | undefined;
  /** Of children that came to that. */
  outcome: LogOutcome | undefined;
}

function readOutcome(req: Request): LogOutcome | undefined {
  const asked = readQuery(req, "outcome");
  const outcome = LOG_OUTCOMES.find((one) => one === asked);
  if (outcome === undefined && asked !== undefined)
    throw new SupervisorError("REQUEST_INVALID", `outcome must be ${LOG_OUTCOMES.join(" or ")}`);
  return outcome;
}

/** The kept output of a user's children and, on request, every line from then on. */
export function addLogRoutes(router: Router, parts: ControlParts): void {
  const { supervisor, closing, log } = parts;

  const wanted = (req: Request): Wanted => ({
    ...readSubject(parts, req),
    since: readCount(req, "since"),
    limit: readCount(req, "limit"),
    outcome: readOutcome(req),
  });

  const kept = ({ user, server, since = 0, limit = Infinity, outcome }: Wanted): LogRow[] => {
    const rows = supervisor.logs({ user, server }, outcome).filter(({ at }) => at >= since);
    return rows.toSorted((a, b) => a.at - b.at).slice(Math.max(0, rows.length - limit));
  };

  const follow = (req: Request, res: Response): void => {
    const which = wanted(req);
    if (which.outcome !== undefined)
      throw new SupervisorError(
        "REQUEST_INVALID",
        "outcome cannot be combined with follow: a line is sent before its child has come to an end",
      );
    const { user, server } = which;
    const write = (row: LogRow): void => {
      res.write(`${JSON.stringify(row)}\n`);
      if (res.writableLength <= MAX_BEHIND_BYTES || res.destroyed) return;
      log.warn({ user }, "ended a stream of logs whose client does not read it");
      res.destroy();
    };
    // The line is the child's, but what follows it is the admin's own.
    const cut = (): void => void res.destroy();
    const onLine = guarded("request", cut, ({ ref, line }: { ref: Ref; line: LogLine }): void => {
      if (ref.user === user && (server === undefined || ref.server === server))
        write({ user, server: ref.server, ...line });
    });
    res.status(200).setHeader("content-type", "application/x-ndjson");
    res.flushHeaders();
    for (const row of kept(which)) write(row);
    supervisor.events.on("line", onLine);
    const forget = onAbort(closing, () => void res.end());
    res.on("close", () => {
      supervisor.events.off("line", onLine);
      forget();
    });
  };

  router.get("/users/:user/logs", (req, res, next) => {
    const mode = readQuery(req, "follow");
    if (mode === "1") follow(req, res);
    else if (mode === undefined || mode === "0") next();
    else throw new SupervisorError("REQUEST_INVALID", "follow must be 0 or 1");
  });
  mount(router, "/users/:user/logs", {
    get: (req) => {
      const which = wanted(req);
      return { body: { user: which.user, logs: kept(which) } };
    },
  });
}
