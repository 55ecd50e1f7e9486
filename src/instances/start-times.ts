import type { EventEmitter } from "node:events";
import { keyOf } from "./instance-types.ts";
import type { SupervisorEvents } from "./instance-types.ts";

/** How long starts take that go well, by server: what a start that hangs is measured by. */
export class StartTimes {
  readonly #begun = new Map<string, number>();
  readonly #lastMs = new Map<string, number>();

  constructor(events: EventEmitter<SupervisorEvents>) {
    events.on("state", ({ ref, generation, state }) => {
      const key = `${keyOf(ref)} ${generation}`;
      if (state === "starting") return void this.#begun.set(key, performance.now());
      const begun = this.#begun.get(key);
      this.#begun.delete(key);
      if (state === "ready" && begun !== undefined)
        this.#lastMs.set(ref.server, performance.now() - begun);
    });
  }

  /** Of the last start of this server that went well, in ms, whoever it was for. */
  lastMs(server: string): number | undefined {
    return this.#lastMs.get(server);
  }
}
