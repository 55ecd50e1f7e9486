import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import path from "node:path";
import type { Registry } from "../auth/registry.ts";
import { RESERVED } from "../config/server-schema.ts";
import type { ServerEntry } from "../config/one-server.ts";
import type { Config, ServerDef } from "../config/config.ts";
import { removeFolder } from "../engines/process/folders.ts";
import type { Isolation } from "../engines/process/isolation.ts";
import { userHome } from "../engines/process/private-home.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import { isForbidden, isPrivate } from "../platform/address.ts";
import { SLUG_LENGTH, slugFor } from "../platform/slug.ts";
import type { Logger } from "../telemetry/logger.ts";
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
  async create(wish: ServerWish & { name: string }): Promise<BookedServer> {
    return await this.#inOrder(async () => {
      const id = randomBytes(8).toString("hex");
      return await this.#put({
        id,
        slug: this.#slugFor(wish.name, id),
        name: wish.name,
        description: wish.description ?? null,
        state: wish.enabled === false ? "disabled" : "enabled",
        isFromNetwork: wish.isFromNetwork,
        entry: mergeEntry({}, wish.entry),
        createdAt: Date.now(),
      });
    });
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
        state: enabled === undefined ? kept.state : enabled ? "enabled" : "disabled",
        isFromNetwork: setsUrl ? wish.isFromNetwork : kept.isFromNetwork,
        entry: mergeEntry(kept.entry, wish.entry),
      });
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

  async #put(server: BookedServer): Promise<BookedServer> {
    const { book, config, catalog, hideHeaders } = this.#parts;
    const read = defOf(server, config);
    if ("problems" in read) throw invalid(read.problems);
    requireReach(read.def);
    const next = book.under(config, server);
    // From the first moment, so before anything else sees it.
    hideHeaders([...catalog.listWith({ rest: next.servers }), read.def]);
    try {
      await this.#settle(read.def);
      book.keep(server);
    } catch (error) {
      hideHeaders(catalog.list());
      throw error;
    }
    await replaceServers(this.#parts, "rest", next);
    hideHeaders(catalog.list());
    // What is there already has nothing to start: the next message goes there in the new way.
    if (read.def.kind === "remote")
      await this.#parts.supervisor.started({ server: server.slug }, TAKES_OVER_MS);
    return server;
  }

  /** An isolation that cannot be had is what the request asks for, and nobody else's failure. */
  async #settle(def: ServerDef): Promise<void> {
    try {
      await this.#parts.isolation.settleAll([def]);
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
    await replaceServers(this.#parts, "rest", book.under(config, off));
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
    if (origin !== undefined && origin !== "rest") {
      const where = origin === "config" ? "the config" : "the environment";
      throw new SupervisorError(
        "SERVER_EXISTS",
        `${where} has a server ${plain} already: give this one another name`,
      );
    }
    const isTaken = (slug: string): boolean =>
      RESERVED.includes(slug) || book.hasSlug(slug) || catalog.originOf(slug) !== undefined;
    let slug = plain;
    for (let number = 2; isTaken(slug); number++) {
      const end = `-${number}`;
      slug = plain.slice(0, SLUG_LENGTH - end.length) + end;
    }
    return slug;
  }
}

/** Where a URL names an address, that is known before anything is called; a name is judged when it is. */
function requireReach(def: ServerDef): void {
  if (def.kind !== "remote") return;
  const host = new URL(def.url.replaceAll("${user}", "user")).hostname.replaceAll(/^\[|\]$/g, "");
  const isLocal = /^(?:.*\.)?localhost\.?$/.test(host);
  if (isForbidden(host) || (def.isPublicOnly === true && (isLocal || isPrivate(host))))
    throw invalid([
      'url: leads to a private address, and with "allowPrivate": false a URL that is set over TCP may not; set it over the control socket',
    ]);
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
