import { guarded } from "../containment.ts";
import type { SupervisorError } from "../errors.ts";
import type { Ended, Live } from "../instances/supervisor.ts";
import { HttpClient } from "../links/http1/client.ts";
import type { HttpTarget } from "../links/target.ts";

type Watcher = (ended: Ended) => void;

/** What belongs to one generation, as its sessions see it. */
interface Generation {
  client: HttpClient | undefined;
  readonly watchers: Set<Watcher>;
  ended: Ended | undefined;
}

/** The generations as those behind the gateway: the connections to each, which end with it, and who is to hear of its end. */
export class Backends {
  readonly #byLive = new WeakMap<Live, Generation>();

  /** Throws UPSTREAM_REFUSED for a remote whose address is never called. */
  clientFor(live: Live, target: HttpTarget): HttpClient {
    const generation = this.#of(live);
    generation.client ??= new HttpClient(target.url, target.isRemote, {
      socketPath: target.socketPath,
      share: target.output,
      reach: target.reach ?? "any",
      isGone: () => live.isGone(),
    });
    return generation.client;
  }

  /**
   * Calls back once when the generation has ended, never from within this call, `broke` with what that
   * throws, and returns the function that no longer wants to know. A `then` on its promise could not be taken back, and every
   * session that came and went would stay.
   */
  onEnd(
    live: Live,
    callback: Watcher,
    broke: (failure: SupervisorError) => void = () => {},
  ): () => void {
    const { watchers, ended } = this.#of(live);
    const watcher = guarded("session", broke, callback);
    watchers.add(watcher);
    if (ended !== undefined) queueMicrotask(() => watchers.delete(watcher) && watcher(ended));
    return () => void watchers.delete(watcher);
  }

  #of(live: Live): Generation {
    const known = this.#byLive.get(live);
    if (known !== undefined) return known;
    const generation: Generation = { client: undefined, watchers: new Set(), ended: undefined };
    this.#byLive.set(live, generation);
    void live.exited.then((ended) => {
      generation.ended = ended;
      const watchers = [...generation.watchers];
      for (const watcher of watchers) if (generation.watchers.delete(watcher)) watcher(ended);
      generation.client?.close();
      return undefined;
    });
    return generation;
  }
}
