import { hash, timingSafeEqual } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { LruCache } from "../platform/lru-cache.ts";
import type { ManifestPlace, ManifestSelector, Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Vault } from "../vault/vault.ts";
import type { Era } from "./instance-types.ts";

/** What a list of a server with many tools takes, and much more. */
export const MAX_MANIFEST_BYTES = 256 * 1024;
const LIMITS = { perOwner: 8, totalBytes: 256 * 1024 * 1024 };
/** Of those that were asked for last, unsealed. A read from the disk is a matter of a millisecond, too. */
const MAX_CACHED_BYTES = 8 * 1024 * 1024;
/** Deleted in one turn: SQLite overwrites what it deletes, and everybody waits for it. */
const DELETED_AT_ONCE = 8;

/** What a manifest answers for. Where anything of it is another, the child itself is asked. */
export interface ManifestKey {
  readonly user: string;
  readonly server: string;
  /** See `revisionOf`. */
  readonly revision: string;
  /** Of the token that the child has, see `markOf`. */
  readonly token: string;
  readonly era: Era;
  /** What clients declare, as canonical JSON text. */
  readonly capabilities: string;
  /** The protocol version that they ask for; undefined where each has one of its own, whatever the child speaks. */
  readonly version: string | undefined;
}

/** What a child last showed to a client, as it wrote it. */
export interface Manifest {
  /** The result of `initialize`, or of `server/discover`. */
  readonly greeting: Buffer;
  /** Over Streamable HTTP: it gave the session an id. */
  readonly hasSessions: boolean;
  /** By method the results of all pages of each list that it has. */
  readonly lists: ReadonlyMap<string, readonly Buffer[]>;
}

interface Entry {
  readonly token: string;
  readonly manifest: Manifest;
  readonly bytes: number;
}

export interface ManifestsOptions {
  readonly store: Pick<Store, "manifests">;
  readonly vault: Pick<Vault, "seal" | "open">;
  readonly log: Pick<Logger, "error">;
}

/**
 * What children last showed, sealed on the disk: the names of a user's resources are the user's.
 * Nobody is shown another's, nor what another token, definition or version would show.
 *
 * A child can always be asked instead: nothing here throws, and what the database does not give or
 * take is logged.
 */
export class Manifests {
  readonly #options: ManifestsOptions;
  readonly #cached = new LruCache<Entry>(MAX_CACHED_BYTES);
  /** What is forgotten and not deleted yet. */
  readonly #forgotten = new Set<ManifestSelector>();
  #sweeping = Promise.resolve();
  #isClosed = false;

  constructor(options: ManifestsOptions) {
    this.#options = options;
  }

  find(key: ManifestKey): Manifest | undefined {
    const place = placeOf(key);
    const name = nameOf(place);
    const entry = this.#cached.get(name) ?? this.#try(() => this.#read(place));
    if (entry === undefined) return undefined;
    this.#cached.set(name, entry);
    return isSame(entry.token, key.token) ? entry.manifest : undefined;
  }

  /** Keeps it in the place of the one before; one that is too large leaves none. */
  keep(key: ManifestKey, manifest: Manifest): void {
    const place = placeOf(key);
    if (sizeOf(manifest) > MAX_MANIFEST_BYTES) return this.drop(key);
    this.#cached.delete(nameOf(place));
    this.#try(() => {
      const box = this.#options.vault.seal(textOf({ token: key.token, manifest }), nameOf(place));
      this.#options.store.manifests.put(place, box, LIMITS);
    });
  }

  /** What it says is not so any more. */
  drop(key: ManifestKey): void {
    const place = placeOf(key);
    this.#cached.delete(nameOf(place));
    this.#try(() => this.#options.store.manifests.delete(place));
  }

  /** What these children showed is gone: from here on nobody is shown it, and soon it is deleted. */
  forget(which: ManifestSelector): void {
    for (const name of this.#cached.keys()) if (isOf(name, which)) this.#cached.delete(name);
    this.#try(() => {
      // What is kept from now on is of their successors.
      const upTo = this.#options.store.manifests.last();
      this.#forgotten.add(which);
      this.#sweeping = this.#sweeping.then(() => this.#sweep(which, upTo));
    });
  }

  /** Forgets those of other servers, and of these in another revision. */
  retain(revisions: ReadonlyMap<string, string>): void {
    const kept = this.#try(() => this.#options.store.manifests.revisions()) ?? [];
    for (const { server, revision } of kept)
      if (revisions.get(server) !== revision) this.forget({ server, revision });
  }

  /** Resolves when all that is forgotten is deleted. */
  async swept(): Promise<void> {
    await this.#sweeping;
  }

  /** What is not deleted by then is at the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#sweeping;
  }

  /** Not at once: who forgets may be in the middle of a transaction. */
  async #sweep(which: ManifestSelector, upTo: number): Promise<void> {
    let left = true;
    while (left) {
      await nextTurn();
      if (this.#isClosed) return;
      const { manifests } = this.#options.store;
      const deleted = this.#try(() => manifests.deleteSome(which, upTo, DELETED_AT_ONCE));
      left = deleted === DELETED_AT_ONCE;
    }
    this.#forgotten.delete(which);
  }

  #read(place: ManifestPlace): Entry | undefined {
    const { store, vault } = this.#options;
    const name = nameOf(place);
    for (const which of this.#forgotten) if (isOf(name, which)) return undefined;
    const box = store.manifests.find(place);
    return box && entryOf(vault.open(box, name));
  }

  #try<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (err) {
      this.#options.log.error({ err }, "what a child showed could not be kept or read");
      return undefined;
    }
  }
}

/** A database that has the right name for a row has it for its user, too: the vault seals by it. */
const nameOf = ({ user, server, revision, key }: ManifestPlace): string =>
  `manifests|${user}|${server}|${revision}|${key}`;

function isOf(name: string, { user, server, ...rest }: ManifestSelector & { revision?: string }) {
  const [, ofUser, ofServer, ofRevision] = name.split("|", 4);
  const isOwners = (user ?? ofUser) === ofUser && (server ?? ofServer) === ofServer;
  return isOwners && (rest.revision ?? ofRevision) === ofRevision;
}

/** The token is no part of it: a digest of all else that is not secret would be a way to guess it. */
function placeOf({ user, server, revision, ...rest }: ManifestKey): ManifestPlace {
  const { era, capabilities, version = null } = rest;
  const key = hash("sha256", JSON.stringify([era, capabilities, version]), "hex");
  return { user, server, revision, key };
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function sizeOf({ greeting, lists }: Manifest): number {
  let bytes = greeting.length;
  for (const pages of lists.values()) for (const page of pages) bytes += page.length;
  return bytes;
}

interface Written {
  readonly token: string;
  readonly hasSessions: boolean;
  readonly greeting: string;
  readonly lists: readonly (readonly [string, readonly string[]])[];
}

/** Latin-1 keeps every byte, whatever a server takes for UTF-8. */
const written = (bytes: Buffer): string => bytes.toString("latin1");
const read = (text: string): Buffer => Buffer.from(text, "latin1");

function textOf({ token, manifest }: Pick<Entry, "token" | "manifest">): string {
  const { greeting, hasSessions, lists } = manifest;
  const all = Array.from(lists, ([method, pages]) => [method, pages.map(written)] as const);
  const row: Written = { token, hasSessions, greeting: written(greeting), lists: all };
  return JSON.stringify(row);
}

function entryOf(text: string): Entry {
  const { token, hasSessions, greeting, lists } = JSON.parse(text) as Written;
  const all = lists.map(([method, pages]) => [method, pages.map(read)] as const);
  const manifest = { greeting: read(greeting), hasSessions, lists: new Map(all) };
  return { token, manifest, bytes: sizeOf(manifest) };
}
