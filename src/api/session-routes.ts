import type { Router } from "express";
import { isAbout, isAboutServer } from "./admin-log.ts";
import { mount, param } from "./answers.ts";
import { endSession, handlesOf, listSessions } from "../sessions/session-list.ts";
import type { ControlParts } from "./parts.ts";
import { requireUser } from "./subjects.ts";

/** The sessions of clients: those of a user, and one that is to end. SESSION_NOT_FOUND for a handle of none. */
export function addSessionRoutes(router: Router, { registry, sessions }: ControlParts): void {
  mount(router, "/users/:user/sessions", {
    get: (req) => {
      const { name: user } = requireUser(registry, param(req, "user"));
      return { body: { user, sessions: listSessions(sessions, user) } };
    },
  });
  mount(router, "/sessions", {
    get: () => ({ body: { sessions: handlesOf(sessions) } }),
  });
  mount(router, "/sessions/:id", {
    delete: (req) => {
      const ended = endSession(sessions, param(req, "id"));
      isAbout(req, ended.user);
      isAboutServer(req, ended.server);
      return { body: ended };
    },
  });
}
