import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Registry } from "../auth/registry.ts";
import { isReserved } from "../config/server-schema.ts";
import type { ServerEntry } from "../config/one-server.ts";
import type { Config, ServerDef } from "../config/config.ts";
import { removeFolder } from "../engines/process/folders.ts";
import type { Isolation } from "../engines/process/isolation.ts";
import { userHome } from "../engines/process/private-home.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import { hostIn, isPrivate } from "../platform/address.ts";
import { freeSlug, slugFor } from "../platform/slug.ts";
import type { ServerState } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { ORIGIN_NAMES } from "./free-names.ts";
import type { InOrder } from "./one-by-one.ts";
import { replaceServers } from "./replace-servers.ts";
import type { ReplaceParts } from "./replace-servers.ts";
import { defOf } from "./server-book.ts";
import type { BookedServer, ServerBook } from "./server-book.ts";
import { mergeEntry } from "./server-entry.ts";

export interface ServerOrderParts extends ReplaceParts {
  config: Config;
  book: ServerBook;
  isolation: Pick<Isolation, "settleAll" | "forget">;
  registry: { access: Pick<Registry["access"], "serverGone"> };
  supervisor: Pick<Supervisor, "renew" | "forget" | "started">;
  /** Removes from logs what these servers are sent in headers, and what is in secret environments. */
  hideHeaders: (servers: readonly ServerDef[]) => void;
  log: Logger;
}

/** What an admin says of a server; what is left out stays as it is. */
export interface ServerWish {
  name?: string | undefined;
  /** Null for none. */
  description?: string | null | undefined;
  enabled?: boolean | undefined;
  /** Keys of the config file, see `mergeEntry`. */
  entry: ServerEntry;
  /** It came over TCP. */
  isFromNetwork: boolean;
}

export type NewServer = ServerWish & { name: string };

/** Slugs of what was imported. */
export interface ImportedServers {
  added: string[];
  changed: string[];
  unchanged: string[];
}

/** What became of a removal. */
export interface RemovedServer {
  id: string;
  slug: string;
  /** Private homes of users that were deleted, and that were kept. */
  homes: number;
  keptHomes: number;
}

/** A remote takes over from itself in a moment; one that is not there takes longer, and is not waited for. */
const TAKES_OVER_MS = 1000;

const invalid = (lines: readonly string[]): SupervisorError => {
  const [first = "", ...more] = lines;
  return new SupervisorError("REQUEST_INVALID", first, { details: more });
};

/**
 * Orders about servers, by the very way that a reload goes: checked whole, stored, then brought into
 * force for that server alone. One after the other, and when one resolves it is on the disk. All reject
 * with REQUEST_INVALID for what cannot be a server, SERVER_NOT_FOUND, or SERVER_EXISTS for one of the
 * config, and have then changed nothing.
 */
export class ServerOrders {
  readonly #parts: ServerOrderParts;
  readonly #inOrder: InOrder;

  constructor(parts: ServerOrderParts, inOrder: InOrder) {
    this.#parts = parts;
    this.#inOrder = inOrder;
  }

  /** Adds a server; resolves with it. */
  async create(wish: NewServer): Promise<BookedServer> {
    return await this.#inOrder(async () => await this.#put(this.#made(wish)));
  }

  /** Changes what is said; resolves with the server as it is now. */
  async change(id: string, wish: ServerWish): Promise<BookedServer> {
    return await this.#inOrder(async () => {
      const kept = this.require(id);
      const { name = kept.name, description = kept.description, enabled } = wish;
      const setsUrl = ["url", "serverUrl"].some((key) => wish.entry[key] != null);
      return await this.#put({
        ...kept,
        name,
        description,
        state: stateOf(enabled, kept.state),
        isFromNetwork: setsUrl ? wish.isFromNetwork : kept.isFromNetwork,
        entry: mergeEntry(kept.entry, wish.entry),
      });
    });
  }

  /**
   * Adds and changes all of these, or none. One whose name, or whose slug, a server has already is that
   * server: it stays where it says the same, and is changed where `mayReplace` says so, else
   * SERVER_EXISTS.
   */
  async import(wishes: readonly NewServer[], mayReplace: boolean): Promise<ImportedServers> {
    return await this.#inOrder(async () => {
      const done: ImportedServers = { added: [], changed: [], unchanged: [] };
      const servers: BookedServer[] = [];
      for (const wish of wishes) {
        const known = this.#known(wish.name);
        const server = known === undefined ? this.#made(wish) : importedOver(known, wish);
        if (servers.some(({ slug }) => slug === server.slug))
          throw invalid([`${wish.name}: another of these gets the slug ${server.slug} too`]);
        if (known !== undefined && isSame(known, server)) {
          done.unchanged.push(server.slug);
          continue;
        }
        if (known !== undefined && !mayReplace)
          throw new SupervisorError(
            "SERVER_EXISTS",
            `there is a server ${known.slug} already, and ${wish.name} is another: rename it, or import with replace`,
          );
        (known === undefined ? done.added : done.changed).push(server.slug);
        servers.push(server);
      }
      if (servers.length > 0) await this.#putAll(servers);
      return done;
    });
  }

  /** Ends sessions and children, and forgets all that is kept of the server; with `keepData` not the users' homes. */
  async remove(id: string, keepData: boolean): Promise<RemovedServer> {
    return await this.#inOrder(async () => await this.#remove(this.require(id), keepData));
  }

  /** Finishes removals that a killed daemon left. What cannot be deleted is logged and stays for the next start. */
  async finishRemovals(): Promise<void> {
    for (const server of this.#parts.book.list()) {
      if (server.state !== "removing") continue;
      await this.#remove(server, false).catch((error: unknown) =>
        this.#parts.log.error(
          { server: server.slug, err: error },
          "a removal could not be finished",
        ),
      );
    }
  }

  /** Those that the control API made, the oldest first. */
  list(): BookedServer[] {
    return this.#parts.book.list().filter(({ state }) => state !== "removing");
  }

  /** The server of that id. SERVER_NOT_FOUND. */
  require(id: string): BookedServer {
    const found = this.#parts.book.find(id);
    if (found !== undefined && found.state !== "removing") return found;
    throw new SupervisorError("SERVER_NOT_FOUND", "there is no server of that id");
  }

  #made({ name, description = null, enabled, entry, isFromNetwork }: NewServer): BookedServer {
    const id = randomBytes(8).toString("hex");
    return {
      id,
      slug: this.#slugFor(name, id),
      name,
      description,
      state: stateOf(enabled, "enabled"),
      isFromNetwork,
      entry: mergeEntry({}, entry),
      createdAt: Date.now(),
    };
  }

  #known(name: string): BookedServer | undefined {
    const all = this.list();
    const slug = slugFor(name);
    return all.find((server) => server.name === name) ?? all.find((server) => server.slug === slug);
  }

  async #put(server: BookedServer): Promise<BookedServer> {
    await this.#putAll([server]);
    return server;
  }

  /** All of these, or none. */
  async #putAll(servers: readonly BookedServer[]): Promise<void> {
    const { book, config, catalog, hideHeaders, supervisor } = this.#parts;
    const defs = servers.map((server) => checked(server, config, servers.length > 1));
    const next = book.under(config, servers);
    // From the first moment, so before anything else sees it.
    hideHeaders([...catalog.listWith({ rest: next.servers }), ...defs]);
    try {
      await this.#settle(defs);
      book.keep(servers);
    } catch (error) {
      hideHeaders(catalog.list());
      throw error;
    }
    await replaceServers(this.#parts, "rest", next);
    hideHeaders(catalog.list());
    // What is there already has nothing to start: the next message goes there in the new way.
    const remotes = defs.filter(({ kind }) => kind === "remote");
    await Promise.all(
      remotes.map(({ name }) => supervisor.started({ server: name }, TAKES_OVER_MS)),
    );
  }

  /** An isolation that cannot be had is what the request asks for, and nobody else's failure. */
  async #settle(defs: readonly ServerDef[]): Promise<void> {
    try {
      await this.#parts.isolation.settleAll(defs);
    } catch (error) {
      const { code, details, message } = toSupervisorError(error);
      if (code !== "ISOLATION_UNAVAILABLE") throw error;
      throw new SupervisorError("REQUEST_INVALID", message, { details, cause: error });
    }
  }

  async #remove(server: BookedServer, keepData: boolean): Promise<RemovedServer> {
    const { book, config, isolation, manifests, registry } = this.#parts;
    const { id, slug } = server;
    if (!keepData) book.beginRemoval(server);
    const off: BookedServer = { ...server, state: "removing" };
    await replaceServers(this.#parts, "rest", book.under(config, [off]));
    manifests.forget({ server: slug });
    const homes = await homesOf(config.dataDir, slug);
    if (!keepData) for (const home of homes) await removeFolder(home);
    book.remove(server, keepData, () => registry.access.serverGone(slug));
    isolation.forget(slug);
    await replaceServers(this.#parts, "rest", book.under(config));
    this.#parts.hideHeaders(this.#parts.catalog.list());
    const count = homes.length;
    return { id, slug, homes: keepData ? 0 : count, keptHomes: keepData ? count : 0 };
  }

  /** The slug that a new server of this name gets. SERVER_EXISTS where that is one of the config or the environment. */
  #slugFor(name: string, id: string): string {
    const { book, catalog } = this.#parts;
    const plain = slugFor(name) ?? `server-${id}`;
    const origin = catalog.originOf(plain);
    if (origin !== undefined && origin !== "rest")
      throw new SupervisorError(
        "SERVER_EXISTS",
        `${ORIGIN_NAMES[origin]} has a server ${plain} already: give this one another name`,
      );
    return freeSlug(
      plain,
      (slug) => isReserved(slug) || book.hasSlug(slug) || catalog.originOf(slug) !== undefined,
    );
  }
}

/** The whole entry is another; what such a file does not know stays. */
const importedOver = (known: BookedServer, wish: NewServer): BookedServer => ({
  ...known,
  description: wish.description === undefined ? known.description : wish.description,
  state: stateOf(wish.enabled, known.state),
  isFromNetwork: wish.isFromNetwork,
  entry: mergeEntry({}, wish.entry),
});

/** Whoever says the same over another way has changed nothing. */
const isSame = (known: BookedServer, server: BookedServer): boolean =>
  isDeepStrictEqual(known, { ...server, isFromNetwork: known.isFromNetwork });

const stateOf = (enabled: boolean | undefined, otherwise: ServerState): ServerState =>
  enabled === undefined ? otherwise : enabled ? "enabled" : "disabled";

/** REQUEST_INVALID with all that is wrong; `isNamed`: with the name of the server in each line. */
function checked(server: BookedServer, config: Config, isNamed: boolean): ServerDef {
  const read = defOf(server, config);
  const problems = "problems" in read ? read.problems : reachProblems(read.def);
  if ("def" in read && problems.length === 0) return read.def;
  throw invalid(isNamed ? problems.map((line) => `${server.name}: ${line}`) : problems);
}

/** Where a URL names an address, that is known before anything is called; a name is judged when it is. */
function reachProblems(def: ServerDef): string[] {
  if (def.kind !== "remote" || def.isPublicOnly !== true) return [];
  const host = hostIn(new URL(def.url.replaceAll("${user}", "user")));
  const isLocal = /^(?:.*\.)?localhost\.?$/.test(host);
  return isLocal || isPrivate(host)
    ? [
        'url: leads to a private address, and with "allowPrivate": false a URL that is set over TCP may not; set it over the control socket',
      ]
    : [];
}

const namesIn = async (folder: string): Promise<string[]> => await readdir(folder).catch(() => []);

/** The folders that users' children of the server had as HOME, and those of earlier versions. */
async function homesOf(dataDir: string, server: string): Promise<string[]> {
  const users = await namesIn(path.dirname(userHome(dataDir, "any")));
  const found = await Promise.all(
    users.map(async (user) => {
      const names = await namesIn(userHome(dataDir, user));
      return names
        .filter((name) => name.split(".")[0] === server)
        .map((name) => path.join(userHome(dataDir, user), name));
    }),
  );
  return found.flat();
}
