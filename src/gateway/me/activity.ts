import type { Audit } from "../../audit/audit.ts";
import type { Registry } from "../../auth/registry.ts";
import type { Config } from "../../config/config.ts";
import { SupervisorError } from "../../errors.ts";
import { endSession, listSessions } from "../../sessions/session-list.ts";
import type { Sessions } from "../../sessions/sessions.ts";
import { sessionCookie } from "./session-cookie.ts";
import { noteIn } from "./note.ts";
import type { Note } from "./note.ts";
import type { MeHandler, MeRoutes } from "./request.ts";
import type { Browsers, Clients, OwnCalls, SignedIn } from "./types.ts";

const MAX_CALLS = 100;

export interface ActivityParts {
  registry: Pick<Registry, "browserSessions">;
  audit: Pick<Audit, "add" | "callsOf">;
  config: Pick<Config, "pages" | "selfService">;
  sessions: Pick<Sessions, "records" | "closeWhere">;
  publicUrl: URL;
}

/** What was done in the user's name, and the clients and browsers that are there. */
export function activityRoutes(parts: ActivityParts): MeRoutes {
  const { registry, audit, config, publicUrl } = parts;
  const { browserSessions } = registry;
  const note = noteIn(audit);
  const out = { "set-cookie": sessionCookie(publicUrl).set("", 0) };
  const current: MeHandler<SignedIn> = ({ user, caller }) => {
    const hasLogs = config.pages !== false && config.pages.logs;
    return { body: { user, session: caller.session, hasLogs, selfService: config.selfService } };
  };
  const signOut: MeHandler = (request) => {
    browserSessions.end(request.user, request.caller.session.id);
    note(request, "page sign out");
    return { body: {}, headers: out };
  };
  const signOutEverywhere: MeHandler = (request) => {
    const ended = browserSessions.endAll(request.user);
    note(request, "page sign out everywhere");
    return { body: { ended }, headers: out };
  };
  const end: MeHandler = (request) => {
    const { user, named } = request;
    if (!browserSessions.end(user, named))
      throw new SupervisorError("SESSION_NOT_FOUND", "there is no such session");
    note(request, `page sign out ${named}`);
    return { body: { id: named } };
  };
  const list: MeHandler<Browsers> = ({ user, caller }) => ({
    body: { sessions: browserSessions.list(user), current: caller.session.id },
  });
  const calls: MeHandler<OwnCalls> = ({ user }) => ({
    body: {
      calls: audit
        .callsOf(user, MAX_CALLS)
        .map(({ at, server, what, outcome, reason, durationMs, who }) => ({
          at,
          server,
          tool: what,
          outcome,
          reason,
          durationMs,
          who,
        })),
    },
  });
  return {
    ...clientRoutes(parts, note),
    session: { GET: current, DELETE: signOut },
    sessions: { GET: list, DELETE: signOutEverywhere },
    "sessions/*": { DELETE: end },
    calls: { GET: calls },
  };
}

/** The user's clients, by their sessions. */
function clientRoutes({ sessions }: ActivityParts, note: Note): MeRoutes {
  const end: MeHandler = (request) => {
    const { user, named } = request;
    // One answer for a session of somebody else's and for none.
    if (!listSessions(sessions, user).some(({ id }) => id === named))
      throw new SupervisorError("SESSION_NOT_FOUND", "there is no such session");
    const { id, server } = endSession(sessions, named);
    note(request, `session end ${id}`);
    return { body: { id, server } };
  };
  const list: MeHandler<Clients> = ({ user }) => ({
    body: { sessions: listSessions(sessions, user) },
  });
  return {
    clients: { GET: list },
    "clients/*": { DELETE: end },
  };
}
