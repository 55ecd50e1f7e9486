import { createHmac, createSecretKey, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { Store } from "../store/store.ts";
import type { Vault } from "./vault.ts";

const NAME = "digest";
const PLACE = `secrets|${NAME}`;

/**
 * Digests under a key that is made once and stands sealed in the database: whoever has that alone
 * cannot try out what a digest may be of, and it is the same after a restart and a change of keys.
 */
export class Digests {
  readonly #secrets: Store["secrets"];
  readonly #vault: Pick<Vault, "seal" | "open">;
  #key: KeyObject | undefined;

  constructor(secrets: Store["secrets"], vault: Pick<Vault, "seal" | "open">) {
    this.#secrets = secrets;
    this.#vault = vault;
  }

  /** Of these texts in this order. */
  of(...texts: readonly string[]): string {
    this.#key ??= this.#find() ?? this.#make();
    return createHmac("sha256", this.#key).update(JSON.stringify(texts)).digest("base64url");
  }

  #find(): KeyObject | undefined {
    const box = this.#secrets.find(NAME);
    return box && createSecretKey(this.#vault.open(box, PLACE), "base64url");
  }

  #make(): KeyObject {
    const text = randomBytes(32).toString("base64url");
    this.#secrets.add(NAME, this.#vault.seal(text, PLACE));
    return createSecretKey(text, "base64url");
  }
}
