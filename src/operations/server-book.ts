import { Catalog } from "../catalog/catalog.ts";
import { readServerEntry } from "../config/one-server.ts";
import type { ServerEntry } from "../config/one-server.ts";
import type { Config, ServerDef } from "../config/config.ts";
import type { ServerRow, Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import type { Vault } from "../vault/vault.ts";
import { requireFreeNames } from "./free-names.ts";
import { headerHider } from "./header-hider.ts";
import type { NextServers } from "./replace-servers.ts";

/** A server that the control API made, with its entry as it is. */
export interface BookedServer extends Omit<ServerRow, "box"> {
  entry: ServerEntry;
}

export interface ServerBookParts {
  store: Pick<Store, "servers" | "transaction">;
  vault: Pick<Vault, "seal" | "open">;
}

interface OpenServersParts extends ServerBookParts {
  config: Config;
  log: Logger;
  scrubber: Scrubber;
}

/** Bound into the box: it opens for no other server. */
const placeOf = (id: string): string => `servers|${id}`;

/** The server as it would run, with what the entry alone does not say; else what is wrong with the entry. */
export function defOf(
  { slug, name, description, entry, isFromNetwork }: BookedServer,
  config: Config,
): { def: ServerDef } | { problems: string[] } {
  const read = readServerEntry(slug, entry, config);
  if ("problems" in read) return read;
  const def = { ...read.def, title: name, description };
  if (def.kind === "child") return { def: { ...def, hasSecretEnv: true } };
  const isPublicOnly = def.kind === "remote" && isFromNetwork && !config.allowPrivate;
  return { def: isPublicOnly ? { ...def, isPublicOnly } : def };
}

/** The servers that the control API made, kept sealed. Every call may throw STORE_FAILED; a change has then changed nothing. */
export class ServerBook {
  readonly #parts: ServerBookParts;
  readonly #byId = new Map<string, BookedServer>();

  constructor(parts: ServerBookParts) {
    this.#parts = parts;
    const { store, vault } = parts;
    for (const { box, ...row } of store.servers.list()) {
      const entry = JSON.parse(vault.open(box, placeOf(row.id))) as ServerEntry;
      this.#byId.set(row.id, { ...row, entry });
    }
  }

  find(id: string): BookedServer | undefined {
    return this.#byId.get(id);
  }

  /** The oldest first. */
  list(): BookedServer[] {
    return [...this.#byId.values()];
  }

  hasSlug(slug: string): boolean {
    return this.list().some((server) => server.slug === slug);
  }

  /** What there would be by this config, were these in the book too; problems as lines, those servers are left out. */
  under(
    config: Config,
    changed: readonly BookedServer[] = [],
  ): NextServers & { problems: string[] } {
    const byId = new Map(this.#byId);
    for (const server of changed) byId.set(server.id, server);
    const all = [...byId.values()];
    const problems: string[] = [];
    const servers = all
      .filter(({ state }) => state === "enabled")
      .flatMap((server): [string, ServerDef][] => {
        const read = defOf(server, config);
        if ("def" in read) return [[server.slug, read.def]];
        problems.push(...read.problems.map((line) => `${server.slug} (control API): ${line}`));
        return [];
      });
    const running = new Set(servers.map(([slug]) => slug));
    const others = all.filter(({ slug }) => !running.has(slug));
    const disabled = Object.fromEntries(others.map(({ slug }) => [slug, null]));
    return { servers: Object.fromEntries(servers), disabled, problems };
  }

  /** Keeps all of these or none, each in the place of the one with its id. */
  keep(servers: readonly BookedServer[]): void {
    const { store, vault } = this.#parts;
    const rows = servers.map(({ entry, ...row }) => ({
      ...row,
      box: vault.seal(JSON.stringify(entry), placeOf(row.id)),
    }));
    store.transaction(() => {
      for (const row of rows) store.servers.put(row);
    });
    for (const server of servers) this.#byId.set(server.id, server);
  }

  /** From here on it is nobody's, also for a daemon that is killed before its `remove`. */
  beginRemoval(server: BookedServer): void {
    this.#parts.store.servers.setState(server.id, "removing");
    this.#byId.set(server.id, { ...server, state: "removing" });
  }

  /**
   * Deletes the row, and what users have under its slug; with `keepsHomes` not the accounts that own
   * their homes. `also` is done in the same transaction.
   */
  remove({ id, slug }: BookedServer, keepsHomes: boolean, also: () => void): void {
    const { store } = this.#parts;
    store.transaction(() => {
      also();
      store.servers.forgetTokens(slug, keepsHomes);
      store.servers.delete(id);
    });
    this.#byId.delete(id);
  }
}

/** Which servers there are, and what is needed to change that. */
export interface OpenServers {
  catalog: Catalog;
  book: ServerBook;
  /** Removes from logs what these servers are sent in headers, and what is in secret environments. */
  hideHeaders: (servers: readonly ServerDef[]) => void;
}

/**
 * The servers of the config and of the database. One of the latter that the config does not allow any
 * more is left out, and logged. CONFIG_INVALID where the config has the name of one of them.
 */
export function openServers({ config, log, scrubber, ...kept }: OpenServersParts): OpenServers {
  const catalog = new Catalog(config.servers, config.disabled, config.environment);
  const hideHeaders = headerHider(scrubber, catalog.list());
  const book = new ServerBook(kept);
  const { servers, disabled, problems } = book.under(config);
  requireFreeNames(catalog, "rest", config.path, Object.keys({ ...servers, ...disabled }));
  catalog.replace("rest", servers, disabled);
  hideHeaders(catalog.list());
  for (const problem of problems)
    log.error(`a server is left out, mend it with \`mcp-supervisor server set\`: ${problem}`);
  return { catalog, book, hideHeaders };
}
