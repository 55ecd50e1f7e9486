import type { Registry } from "../../auth/registry.ts";

/** What is open in the name of a browser's session, and ends with it. */
export class OpenBySession {
  readonly #open = new Map<string, Set<() => void>>();

  constructor(events: Registry["events"]) {
    events.on("browser-session-ended", ({ id }) => {
      for (const close of this.#open.get(id) ?? []) close();
    });
  }

  /** Returns the function that says "over". */
  add(session: string, close: () => void): () => void {
    const open = this.#open.get(session) ?? new Set();
    this.#open.set(session, open.add(close));
    return () => {
      open.delete(close);
      if (open.size === 0) this.#open.delete(session);
    };
  }
}
