import { guarded } from "../containment.ts";
import type { Live } from "../instances/supervisor.ts";
import { HttpClient } from "../links/http1/client.ts";
import type { HttpTarget } from "../links/target.ts";

/** What belongs to one generation, as its sessions see it. */
interface Generation {
  client: HttpClient | undefined;
  readonly watchers: Set<() => void>;
  hasEnded: boolean;
}

const tell = guarded(
  "session",
  () => {},
  (watcher: () => void) => watcher(),
);

/** The generations that sessions stand on: who is to hear of the end of each, and the connections to it, which end with it. */
export class Generations {
  readonly #byLive = new WeakMap<Live, Generation>();

  /** Throws UPSTREAM_REFUSED for a remote whose address is never called. */
  clientFor(live: Live, target: HttpTarget): HttpClient {
    const generation = this.#of(live);
    generation.client ??= new HttpClient(target.url, target.isRemote, target.socketPath);
    return generation.client;
  }

  /**
   * Calls back once when the generation has ended, never from within this call, and returns the
   * function that no longer wants to know. A `then` on its promise could not be taken back, and every
   * session that came and went would stay.
   */
  onEnd(live: Live, callback: () => void): () => void {
    const { watchers, hasEnded } = this.#of(live);
    watchers.add(callback);
    if (hasEnded) queueMicrotask(() => watchers.delete(callback) && tell(callback));
    return () => void watchers.delete(callback);
  }

  #of(live: Live): Generation {
    const known = this.#byLive.get(live);
    if (known !== undefined) return known;
    const generation: Generation = { client: undefined, watchers: new Set(), hasEnded: false };
    this.#byLive.set(live, generation);
    void live.exited.then(() => {
      generation.hasEnded = true;
      const watchers = [...generation.watchers];
      for (const watcher of watchers) if (generation.watchers.delete(watcher)) tell(watcher);
      generation.client?.close();
      return undefined;
    });
    return generation;
  }
}
