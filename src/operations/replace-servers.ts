import type { Builtins } from "../builtins/builtins.ts";
import type { Catalog, Disabled, Origin } from "../catalog/catalog.ts";
import { compareServers, isReshaped, isRunOtherwise } from "../config/compare.ts";
import type { ServerChanges } from "../config/compare.ts";
import type { Config, ServerDef } from "../config/config.ts";
import type { Manifests } from "../instances/manifests.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Sessions } from "../sessions/sessions.ts";

export interface ReplaceParts {
  catalog: Catalog;
  supervisor: Pick<Supervisor, "renew" | "forget">;
  manifests: Pick<Manifests, "forget">;
  builtins: Pick<Builtins, "retain">;
  sessions: Pick<Sessions, "closeServer">;
}

/** What an origin has from now on. */
export interface NextServers extends Pick<Config, "servers"> {
  disabled: Disabled;
}

/** Whether sessions that were begun in the way of the one server could not go on with the other. */
const endsSessions = (before: ServerDef | undefined, after: ServerDef | undefined): boolean =>
  isReshaped(before, after) || before?.stateful !== after?.stateful;

/**
 * Brings servers into force in the place of those that their origin had: they have been checked, and
 * their names are free. Only instances of servers that changed are replaced, by others that take over
 * from them, and only those of servers that vanished are ended, with their sessions. Waits for no start.
 */
export async function replaceServers(
  parts: ReplaceParts,
  origin: Origin,
  { servers, disabled }: NextServers,
): Promise<ServerChanges> {
  const { catalog, sessions, supervisor, manifests, builtins } = parts;
  const before = catalog.serversOf(origin);
  const changes = compareServers(before, servers);
  catalog.replace(origin, servers, disabled);
  const touched = [...changes.changed, ...changes.removed];
  for (const server of touched)
    if (endsSessions(before[server], servers[server])) sessions.closeServer(server);
  const renewed = changes.changed.filter((server) =>
    isRunOtherwise(before[server]!, servers[server]!),
  );
  for (const server of touched)
    if (servers[server]?.manifest !== true || renewed.includes(server))
      manifests.forget({ server });
  await Promise.all([
    ...renewed.map((server) => supervisor.renew({ server }, "restarted: the config changed")),
    ...changes.removed.map((server) =>
      supervisor.forget({ server }, "stopped: the server is gone"),
    ),
  ]);
  builtins.retain();
  return changes;
}
