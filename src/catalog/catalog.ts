/** Room: catalog. Which servers there are. In: the config's servers, at the start and at each reload. Out: one by its name, or all. Never sees a user's secret, a child or a request. */
import type { Config, ServerDef } from "../config/config.ts";

/** Nobody else keeps servers: what asks here sees a reload at once. */
export class Catalog {
  #servers: ReadonlyMap<string, ServerDef>;

  constructor(servers: Config["servers"]) {
    this.#servers = new Map(Object.entries(servers));
  }

  find(name: string): ServerDef | undefined {
    return this.#servers.get(name);
  }

  /** In the order of the config. */
  list(): ServerDef[] {
    return [...this.#servers.values()];
  }

  /** From here on these servers are the ones there are. */
  replace(servers: Config["servers"]): void {
    this.#servers = new Map(Object.entries(servers));
  }
}
