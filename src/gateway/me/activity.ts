import { orderRow } from "../../audit/audit.ts";
import type { Audit } from "../../audit/audit.ts";
import type { Registry } from "../../auth/registry.ts";
import type { Config } from "../../config/config.ts";
import { SupervisorError } from "../../errors.ts";
import { sessionCookie } from "./session-cookie.ts";
import type { MeHandler, MeRequest, MeRoutes } from "./request.ts";

const MAX_CALLS = 100;

export interface ActivityParts {
  registry: Pick<Registry, "browserSessions">;
  audit: Pick<Audit, "add" | "callsOf">;
  config: Pick<Config, "pages" | "selfService">;
  publicUrl: URL;
}

/** What was done in the user's name, and the browsers that are signed in. */
export function activityRoutes({ registry, audit, config, publicUrl }: ActivityParts): MeRoutes {
  const { browserSessions } = registry;
  const note = ({ user, trace: { requestId } }: MeRequest, what: string): void =>
    audit.add(
      orderRow({ what, user, server: null, who: "page", requestId, durationMs: 0 }, undefined),
    );
  const out = { "set-cookie": sessionCookie(publicUrl).set("", 0) };
  const current: MeHandler = ({ user, caller }) => {
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
  const list: MeHandler = ({ user, caller }) => ({
    body: { sessions: browserSessions.list(user), current: caller.session.id },
  });
  const calls: MeHandler = ({ user }) => ({
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
    session: { GET: current, DELETE: signOut },
    sessions: { GET: list, DELETE: signOutEverywhere },
    "sessions/*": { DELETE: end },
    calls: { GET: calls },
  };
}
