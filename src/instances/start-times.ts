import type { EventEmitter } from "node:events";
import { isDown } from "./instance-row.ts";
import { keyOf } from "./instance-types.ts";
import type { SupervisorEvents } from "./instance-types.ts";

/** How long starts take that go well, by server: what a start that hangs is measured by. */
export class StartTimes {
  readonly #begun = new Map<string, number>();
  readonly #lastMs = new Map<string, number>();

  constructor(events: EventEmitter<SupervisorEvents>) {
    events.on("state", ({ ref, state }) => {
      const key = keyOf(ref);
      // A start says "starting" more than once: the first time counts.
      if (state === "starting") {
        if (!this.#begun.has(key)) this.#begun.set(key, performance.now());
        return;
      }
      const begun = this.#begun.get(key);
      if (state === "ready" && begun !== undefined)
        this.#lastMs.set(ref.server, performance.now() - begun);
      if (state === "ready" || isDown(state)) this.#begun.delete(key);
    });
  }

  /** Of the last start of this server that went well, in ms, whoever it was for. */
  lastMs(server: string): number | undefined {
    return this.#lastMs.get(server);
  }
}
