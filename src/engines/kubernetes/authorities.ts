import type { Store } from "../../store/store.ts";
import type { Vault } from "../../vault/vault.ts";

/** A CA as text, both PEM: the key (PKCS #8) that signs, and the certificate that the other end is given. */
export interface AuthorityText {
  readonly key: string;
  readonly certificate: string;
}

/** One that is kept; the higher the number, the later it was made. */
export interface KeptAuthority extends AuthorityText {
  readonly number: number;
}

export interface AuthoritiesParts {
  store: Pick<Store, "secrets" | "pods">;
  vault: Pick<Vault, "seal" | "open">;
  make: () => Promise<AuthorityText>;
}

const NAME = /^kubernetes-ca-(\d+)$/;
const nameOf = (number: number): string => `kubernetes-ca-${number}`;
/** Bound into the box; see the vault's columns. */
const placeOf = (number: number): string => `secrets|${nameOf(number)}`;

/**
 * The CAs of this installation, whose keys stand sealed in the database. Pods are born under the newest;
 * an older one is kept for those that were born under it, and goes with the last of their rows.
 */
export class Authorities {
  readonly #parts: AuthoritiesParts;
  #making: Promise<KeptAuthority> | undefined;

  constructor(parts: AuthoritiesParts) {
    this.#parts = parts;
  }

  /**
   * The one that a pod is born under now; made where there is none. Whoever takes it writes the pod's row in
   * the same turn of the event loop: one that no row names may go.
   */
  async newest(): Promise<KeptAuthority> {
    const number = this.#numbers().at(-1);
    return number === undefined ? await this.#made() : this.#open(number);
  }

  /** That of a pod's row; undefined where it is gone. STORE_FAILED where it does not open. */
  find(number: number): KeptAuthority | undefined {
    return this.#numbers().includes(number) ? this.#open(number) : undefined;
  }

  /** Makes another one, which is the newest then. */
  async rotate(): Promise<KeptAuthority> {
    const authority = await this.#made();
    this.sweep();
    return authority;
  }

  /** Deletes the older ones that no pod needs any more. */
  sweep(): void {
    const { secrets, pods } = this.#parts.store;
    const needed = pods.authorities();
    for (const number of this.#numbers().slice(0, -1))
      if (!needed.has(number)) secrets.delete(nameOf(number));
  }

  /** Those that there are, the oldest first. */
  #numbers(): number[] {
    return this.#parts.store.secrets
      .names()
      .flatMap((name) => NAME.exec(name)?.[1] ?? [])
      .map(Number)
      .toSorted((one, other) => one - other);
  }

  #open(number: number): KeptAuthority {
    const { store, vault } = this.#parts;
    const text = vault.open(store.secrets.find(nameOf(number))!, placeOf(number));
    return { number, ...(JSON.parse(text) as AuthorityText) };
  }

  /** Two who ask at once get one. */
  async #made(): Promise<KeptAuthority> {
    this.#making ??= this.#make().finally(() => (this.#making = undefined));
    return await this.#making;
  }

  async #make(): Promise<KeptAuthority> {
    const { store, vault, make } = this.#parts;
    const { key, certificate } = await make();
    // Never one that a row of now could mean: numbers of those that are gone stand in no row.
    const number = (this.#numbers().at(-1) ?? 0) + 1;
    const box = vault.seal(JSON.stringify({ key, certificate }), placeOf(number));
    store.secrets.add(nameOf(number), box);
    return { number, key, certificate };
  }
}
