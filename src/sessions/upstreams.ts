import type { HttpTarget, Live } from "../supervisor/supervisor.ts";
import { HttpClient } from "../upstream/http-client.ts";

/** One set of connections per generation of an instance; they end with it. */
export class Upstreams {
  readonly #clients = new WeakMap<Live, HttpClient>();

  /** Throws UPSTREAM_REFUSED for a remote whose address is never called. */
  clientFor(live: Live, target: HttpTarget): HttpClient {
    const known = this.#clients.get(live);
    if (known !== undefined) return known;
    const client = new HttpClient(target.url, target.isRemote);
    this.#clients.set(live, client);
    void live.exited.then(() => client.close());
    return client;
  }
}
