import type { KeyObject } from "node:crypto";
import type { Store } from "../store/store.ts";
import { seal, unseal } from "./box.ts";

const NAME = "vault-check";

/** Key 0 had its check before keys had numbers. */
const nameOf = (id: number): string => (id === 0 ? NAME : `${NAME} ${id}`);
const placeOf = (id: number): string => `meta|${nameOf(id)}`;

type Meta = Store["meta"];

/** A box for each key, so that a wrong key is found out also where it sealed nothing yet. */
export class Checks {
  readonly #meta: Meta;

  constructor(meta: Meta) {
    this.#meta = meta;
  }

  /** The numbers of the keys that the database was written with. */
  ids(): number[] {
    return this.#meta.names().flatMap((name) => {
      if (name === NAME) return [0];
      const id = /^vault-check ([1-9]\d*)$/.exec(name)?.[1];
      return id === undefined ? [] : [Number(id)];
    });
  }

  /** Undefined where there is none of that number. */
  fits(id: number, key: KeyObject): boolean | undefined {
    const box = this.#meta.find(nameOf(id));
    return box && unseal(key, box, placeOf(id)) !== undefined;
  }

  add(id: number, key: KeyObject): void {
    this.#meta.set(nameOf(id), seal(id, key, nameOf(id), placeOf(id)));
  }

  remove(id: number): void {
    this.#meta.delete(nameOf(id));
  }
}
