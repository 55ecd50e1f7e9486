import { BY_KEY } from "../auth/principal.ts";
import type { Registry } from "../auth/registry.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Manifests } from "../instances/manifests.ts";
import type { Instance, Supervisor } from "../instances/supervisor.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { ManifestSelector } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Tokens } from "../tokens/tokens.ts";

export interface FollowParts {
  registry: Pick<Registry, "events"> & { access: Pick<Registry["access"], "events"> };
  catalog: Pick<Catalog, "findFor">;
  tokens: Pick<Tokens, "events"> & { connects: Pick<Tokens["connects"], "end"> };
  supervisor: Pick<Supervisor, "stop" | "list" | "renewTokens" | "renewAtOnce">;
  manifests: Pick<Manifests, "forget">;
  sessions: Pick<Sessions, "closeCredential" | "closeUser" | "closeServerTo">;
  log: Logger;
}

/**
 * What follows when a key or a user ends, somebody loses a server, or a token changes. Sessions end within the event, so before
 * the change is acknowledged, and nobody is shown any more what the old token showed; children end
 * soon after, and what a browser has begun is void; a new token is handed to what runs, or to another
 * that takes over from it.
 */
export function followChanges(parts: FollowParts): void {
  const { registry, catalog, tokens, supervisor, manifests, sessions, log } = parts;
  const logFailure = (user: string | null, work: Promise<void>): void => {
    work.catch((error: unknown) => log.error({ user, err: error }, "a child could not be stopped"));
  };
  // A key may end by the clock, where nobody would hear of a failure.
  const endConnects = (user: string): void => {
    try {
      tokens.connects.end(user);
    } catch (err) {
      log.error({ user, err }, "what a browser has begun could not be made void");
    }
  };
  registry.events.on("credential-ended", (ended) => {
    sessions.closeCredential(ended);
    // A JWT ends by itself every few minutes, and is no secret that somebody lost then.
    if (ended.issuer === BY_KEY) endConnects(ended.user);
  });
  registry.events.on("jwts-revoked", ({ user }) => endConnects(user));
  registry.events.on("user-ended", ({ user }) => {
    sessions.closeUser(user);
    endConnects(user);
    const reason = "stopped: the user was disabled or removed";
    logFailure(user, supervisor.stop({ user }, reason));
  });
  registry.access.events.on("narrowed", (servers) => {
    for (const server of servers) {
      const isOut = (user: string): boolean => catalog.findFor(user, server) === undefined;
      sessions.closeServerTo(server, isOut);
      const users = new Set(supervisor.list({ server }).map(({ user }) => user));
      for (const user of [...users].filter(isOut)) {
        const reason = "stopped: the server is not granted to the user any more";
        logFailure(user, supervisor.stop({ user, server }, reason));
      }
    }
  });
  tokens.events.on("changed", ({ user, server, isCleared }) => {
    const selector = { user: user ?? undefined, server: server ?? undefined };
    manifests.forget(forgettable(user, server));
    // Who takes a token away does not want it used for another call.
    const work = isCleared
      ? supervisor.renewAtOnce(selector, "stopped: the token was cleared")
      : supervisor.renewTokens(selector, "restarted for a new token");
    logFailure(user, work);
  });
}

/** A token of no user is one server's. */
function forgettable(user: string | null, server: string | null): ManifestSelector {
  if (user === null) return { server: server ?? "" };
  return server === null ? { user } : { user, server };
}

/** A function that ends an instance which served a single session that is over. */
export function discardWith(
  supervisor: Pick<Supervisor, "forget">,
  log: Logger,
): (instance: Pick<Instance, "ref">) => void {
  return ({ ref }) => {
    supervisor.forget(ref, "its session is over").catch((error: unknown) => {
      log.error({ ...ref, err: error }, "a child could not be ended with its session");
    });
  };
}
