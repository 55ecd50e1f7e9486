import { hasBegun, isDown } from "./instance-row.ts";
import { isOwnVariant, keyOf } from "./instance-types.ts";
import type { Instance } from "./instance.ts";
import type { Ref, Selector } from "./instance-types.ts";

/** Every instance that was ever asked for, and which of them a selector means. */
export class InstanceSet {
  readonly #byKey = new Map<string, Instance>();

  /** The one of that ref, or the one that is made for it. */
  of(ref: Ref, make: () => Instance): Instance {
    const key = keyOf(ref);
    let instance = this.#byKey.get(key);
    if (instance === undefined) this.#byKey.set(key, (instance = make()));
    return instance;
  }

  delete(ref: Ref): void {
    this.#byKey.delete(keyOf(ref));
  }

  all(): Iterable<Instance> {
    return this.#byKey.values();
  }

  /** By user, server and variant. */
  select({ user, server, variant }: Selector): Instance[] {
    return [...this.#byKey.values()]
      .filter(
        ({ ref }) =>
          (user === undefined || ref.user === user) &&
          (server === undefined || ref.server === server) &&
          (variant === undefined || ref.variant === variant),
      )
      .toSorted((a, b) => (keyOf(a.ref) < keyOf(b.ref) ? -1 : 1));
  }

  /** Those selected without sessions' own children that are down. */
  shown(selector: Selector): Instance[] {
    return this.select(selector).filter(
      (instance) =>
        !isOwnVariant(instance.ref.variant) || instance.states().some((state) => !isDown(state)),
    );
  }

  /** Those shown without the handles that a client's path asked for and that never served anybody. */
  begun(selector: Selector): Instance[] {
    return this.shown(selector).filter(({ state, generation, usage: { sessions } }) =>
      hasBegun({ state, generation, sessions }),
    );
  }
}
