import type { Scrubber } from "../telemetry/scrubber.ts";

/** As many are looked for at once: each costs memory, and clients could name any number. */
const MOST = 256;
/** Letters, digits and what JWTs have, as Feishu's are. What clients choose is not to hide codes of our log, its times or what holds a line together. */
const SECRET = /^(?![A-Z_]+$)[\w.~-]{16,}$/;

/** Keeps secrets that pass by out of all output, those that passed last. */
export class RecentSecrets {
  readonly #scrubber: Pick<Scrubber, "set" | "drop">;
  /** By secret, the one that passed last at the end. */
  readonly #names = new Map<string, string>();
  #count = 0;

  constructor(scrubber: Pick<Scrubber, "set" | "drop">) {
    this.#scrubber = scrubber;
  }

  hide(secret: string): void {
    if (!SECRET.test(secret)) return;
    const name = this.#names.get(secret) ?? `passing secret ${++this.#count}`;
    this.#names.delete(secret);
    this.#names.set(secret, name);
    this.#scrubber.set(name, secret);
    if (this.#names.size <= MOST) return;
    const [oldest, itsName] = this.#names.entries().next().value!;
    this.#names.delete(oldest);
    this.#scrubber.drop(itsName);
  }
}
