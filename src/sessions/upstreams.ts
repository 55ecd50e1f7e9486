import { guarded } from "../containment.ts";
import type { HttpTarget, Live } from "../instances/supervisor.ts";
import { HttpClient } from "../links/http1/client.ts";

interface Upstream {
  readonly client: HttpClient;
  readonly watchers: Set<() => void>;
}

/** One set of connections per generation of an instance; they end with it. */
export class Upstreams {
  readonly #byLive = new WeakMap<Live, Upstream>();

  /** Throws UPSTREAM_REFUSED for a remote whose address is never called. */
  clientFor(live: Live, target: HttpTarget): HttpClient {
    return this.#upstream(live, target).client;
  }

  /**
   * Calls back when the generation ends, and returns the function that no longer wants to know. A
   * `then` on its promise could not be taken back, and every session that came and went would stay.
   */
  onEnd(live: Live, target: HttpTarget, callback: () => void): () => void {
    const { watchers } = this.#upstream(live, target);
    watchers.add(callback);
    return () => void watchers.delete(callback);
  }

  #upstream(live: Live, target: HttpTarget): Upstream {
    const known = this.#byLive.get(live);
    if (known !== undefined) return known;
    const client = new HttpClient(target.url, target.isRemote, target.socketPath);
    const watchers = new Set<() => void>();
    const upstream: Upstream = { client, watchers };
    this.#byLive.set(live, upstream);
    void live.exited.then(() => {
      const tell = guarded(
        "session",
        () => {},
        (watcher: () => void) => watcher(),
      );
      for (const watcher of watchers) tell(watcher);
      client.close();
      return undefined;
    });
    return upstream;
  }
}
