import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { Audience, LastShown } from "../instances/last-shown.ts";
import type { Manifest } from "../instances/manifests.ts";
import type { Live } from "../instances/supervisor.ts";
import { locate, valueAt } from "../mcp/json-span.ts";
import { withDeadline } from "../platform/deadline.ts";
import { LruCache } from "../platform/lru-cache.ts";
import { audienceOf } from "../sessions/asleep.ts";
import type { CallFront } from "../sessions/call-front.ts";
import type { CallLinks, CallTarget } from "../sessions/call-links.ts";
import { allPages } from "../sessions/list-pages.ts";
import type { Ask } from "../sessions/list-pages.ts";
import { NOTHING, offerIn } from "./offer.ts";
import type { Offer } from "./offer.ts";

/** Of the lists that no manifest keeps. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024;
/** What let its callers wait in vain for so long is not asked again for as long: not every call is to wait for it. */
const IN_VAIN_MS = 1_000;
const REST_MS = 5_000;
const MAX_RESTING = 10_000;

/** What is known of a server's tools, and whether nothing has happened since for which they may be others. */
export interface Known {
  readonly offer: Offer;
  readonly isFresh: boolean;
}

/** What a server said when it was asked, and when that was: of which generation, after how many changes. */
interface Entry {
  readonly offer: Offer;
  readonly bytes: number;
  readonly link: CallFront;
  readonly live: Live | undefined;
  /** The mark of the token that it had: what another one would show is nobody's to see. */
  readonly token: string | undefined;
  readonly changes: number;
}

export interface OffersOptions {
  readonly lastShown: Pick<LastShown, "find">;
  readonly links: CallLinks;
}

/** Which tools each server has for a user: from its manifest where there is one, else from the server itself. */
export class Offers {
  readonly #options: OffersOptions;
  readonly #audiences = new Map<string, Audience>();
  readonly #ofManifests = new WeakMap<Manifest, Promise<Offer | undefined>>();
  readonly #kept = new LruCache<Entry>(MAX_KEPT_BYTES);
  readonly #asking = new Map<string, Promise<Offer>>();
  readonly #resting = new Map<
    string,
    { readonly error: SupervisorError; readonly until: number }
  >();

  constructor(options: OffersOptions) {
    this.#options = options;
  }

  /** What is known of them without a word to the server; undefined where that is nothing. */
  async known(target: CallTarget): Promise<Known | undefined> {
    const kept = this.#kept.get(nameOf(target));
    const link = this.#options.links.find(target);
    if (kept !== undefined && isCurrent(kept, link)) return { offer: kept.offer, isFresh: true };
    if (kept !== undefined) this.#kept.delete(nameOf(target));
    const offer = await this.#shown(target);
    // Whoever is awake may have come with others than the one before.
    const isAsleep = target.instance.live === undefined;
    return offer && { offer, isFresh: isAsleep && (link?.toolsChanges ?? 0) === 0 };
  }

  /**
   * Asks the server, which is started where it sleeps. Rejects with what keeps it from that, or from
   * an answer within its `startTimeout`.
   */
  async ask(target: CallTarget): Promise<Offer> {
    const name = nameOf(target);
    const resting = this.#resting.get(name);
    if (resting !== undefined && performance.now() < resting.until) throw resting.error;
    const known = this.#asking.get(name);
    if (known !== undefined) return await known;
    const since = performance.now();
    const asking = this.#ask(target);
    this.#asking.set(name, asking);
    try {
      const offer = await asking;
      this.#resting.delete(name);
      return offer;
    } catch (thrown) {
      const error = toSupervisorError(thrown);
      const now = performance.now();
      if (this.#resting.size >= MAX_RESTING) this.#resting.clear();
      if (now - since > IN_VAIN_MS) this.#resting.set(name, { error, until: now + REST_MS });
      throw error;
    } finally {
      this.#asking.delete(name);
    }
  }

  async #ask(target: CallTarget): Promise<Offer> {
    const { startTimeoutMs, name } = target.server;
    const { link, release } = this.#options.links.hold(target);
    try {
      await link.ready(startTimeoutMs);
      const { live } = link.session;
      const token = live?.startedAs.token;
      const changes = link.toolsChanges;
      const enough = new AbortController();
      const ask: Ask = (method, params) => link.ask(method, params, enough.signal);
      const late = (): never => {
        enough.abort();
        const what = `${name} has not shown its tools in time`;
        throw new SupervisorError("UPSTREAM_TIMEOUT", what);
      };
      const pages = await withDeadline(allPages(ask, "tools/list"), startTimeoutMs, late);
      if (pages === undefined && hasTools(link)) {
        const what = `${name} shows no list of tools that could be read`;
        throw new SupervisorError("UPSTREAM_INVALID", what);
      }
      const results = pages?.map(({ result }) => result) ?? [];
      const offer = results.length === 0 ? NOTHING : await offerIn(results);
      const bytes = results.reduce((sum, { length }) => sum + length, 0);
      if (target.server.kind !== "builtin")
        this.#kept.set(nameOf(target), { offer, bytes, link, live, token, changes });
      return offer;
    } finally {
      release();
    }
  }

  /** Whom the links are to servers that speak this. */
  #audienceFor(transport: string): Audience | undefined {
    const known = this.#audiences.get(transport);
    if (known !== undefined) return known;
    const audience = audienceOf(this.#options.links.hello, transport);
    if (audience !== undefined) this.#audiences.set(transport, audience);
    return audience;
  }

  /** What the last child showed; undefined where there is no manifest, or its list was too long for one. */
  async #shown({ instance, server }: CallTarget): Promise<Offer | undefined> {
    const audience = this.#audienceFor(server.transport);
    const manifest = audience && this.#options.lastShown.find(instance.ref, audience);
    if (manifest === undefined) return undefined;
    const known = this.#ofManifests.get(manifest) ?? readOffer(manifest);
    this.#ofManifests.set(manifest, known);
    return await known;
  }
}

async function readOffer({ greeting, lists }: Manifest): Promise<Offer | undefined> {
  const pages = lists.get("tools/list");
  if (pages !== undefined) return await offerIn(pages);
  const span = locate(greeting, ["capabilities", "tools"]);
  const hasNone = span === undefined || valueAt(greeting, span) === false;
  return hasNone ? NOTHING : undefined;
}

const hasTools = ({ session }: CallFront): boolean =>
  (session.memory.serverSide?.capabilities["tools"] ?? false) !== false;

/** Nothing has happened since that would make the server show others. */
const isCurrent = ({ link, live, token, changes }: Entry, now: CallFront | undefined): boolean =>
  link === now &&
  link.session.live === live &&
  live?.startedAs.token === token &&
  link.toolsChanges === changes;

const nameOf = ({ instance: { ref } }: CallTarget): string => `${ref.user}/${ref.server}`;
