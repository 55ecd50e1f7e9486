import type { Catalog } from "../../catalog/catalog.ts";
import type { Config, ServerDef } from "../../config/config.ts";
import { SupervisorError } from "../../errors.ts";
import type { Supervisor } from "../../instances/supervisor.ts";
import type { Tools } from "../../tools/tools.ts";
import type { Tokens } from "../../tokens/tokens.ts";
import { snippetsFor, wantedOf } from "../../web/snippets.ts";
import { personalUrls } from "../../web/urls.ts";
import { beginConnect } from "../begin-connect.ts";
import type { ConnectParts } from "../begin-connect.ts";
import { nameIn } from "./request.ts";
import type { MeHandler, MeRoutes } from "./request.ts";
import type { OwnAccounts, OwnLogs, OwnServer, OwnUrls } from "./types.ts";

/** Of the lines that are kept of a child, the last ones. */
const MAX_LINES = 200;

export interface ServerParts extends ConnectParts {
  config: Pick<Config, "defaultServer" | "selfService" | "pages">;
  catalog: Catalog;
  tools: Pick<Tools, "servers">;
  tokens: Pick<Tokens, "connects" | "show">;
  supervisor: Pick<Supervisor, "logs">;
}

const wantsSettings = (server: ServerDef): boolean =>
  server.kind === "builtin" && server.sessionConfig;

/** The user's servers, with the accounts that they work with. */
export function serverRoutes(parts: ServerParts): MeRoutes {
  const { config, catalog, tools, supervisor, publicUrl } = parts;
  const servers: MeHandler<{ servers: OwnServer[] }> = async ({ user }) => {
    const rows = await tools.servers({ user, settingsOf: () => undefined });
    const known = rows.map((row) => {
      const server = catalog.findFor(user, row.slug);
      const hasSettings = server !== undefined && wantsSettings(server);
      return { ...row, description: server?.description ?? null, hasSettings };
    });
    return { body: { servers: known } };
  };
  const urls: MeHandler<OwnUrls> = ({ user }) => {
    const rows = personalUrls(publicUrl, { catalog, config }, user);
    const snippets = rows.flatMap((row) =>
      snippetsFor(wantedOf(row, catalog.findFor(user, row.server)?.transport)),
    );
    return { body: { urls: rows, snippets } };
  };
  const logs: MeHandler<OwnLogs> = (request) => {
    const server = nameIn(request, "server");
    if (config.pages === false || !config.pages.logs || server === undefined)
      throw new SupervisorError("NOT_FOUND", "there is nothing at this path");
    if (catalog.findFor(request.user, server) === undefined)
      throw new SupervisorError("SERVER_NOT_FOUND", "there is no such server");
    const lines = supervisor.logs({ user: request.user, server }).toSorted((a, b) => a.at - b.at);
    const shown = lines.slice(-MAX_LINES).map(({ at, text }) => ({ at, text }));
    return { body: { server, lines: shown } };
  };
  return {
    servers: { GET: servers },
    urls: { GET: urls },
    logs: { GET: logs },
    accounts: { GET: ({ user }) => ({ body: accountsOf(parts, user) }) },
    "accounts/*": {
      POST: ({ user, named: server, trace }) => beginConnect(parts, { user, server }, trace),
    },
  };
}

/** What is known of the user's tokens, and of those that are wanting; nothing of a token itself. */
function accountsOf(
  { catalog, tokens, config: { selfService } }: ServerParts,
  user: string,
): OwnAccounts {
  const stored = new Map(tokens.show(user).map((row) => [row.server, row]));
  const servers = catalog.listFor(user);
  const wanted = servers
    .map(({ name }) => name)
    .filter((name) => tokens.connects.pageFor(user, name) !== undefined);
  const all = [...new Set([...stored.keys(), ...wanted])];
  const accounts = all.map((server) => ({
    ...(stored.get(server) ?? { fingerprint: null, setAt: null, expiresAt: null, grant: null }),
    server,
    provider: (server !== null && catalog.findFor(user, server)?.tokensFrom?.provider) || null,
    canConnect: server !== null && wanted.includes(server),
  }));
  const settable = servers.filter(({ tokensFrom }) => tokensFrom === null);
  return { selfService, accounts, settable: settable.map(({ name }) => name) };
}
