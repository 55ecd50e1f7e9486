import { createLocalJWKSet, errors } from "jose";
import type { CryptoKey, JSONWebKeySet, JWSHeaderParameters, LocalJWKSet } from "jose";
import { getOnce, objectIn } from "../../platform/post.ts";

/** A key that the issuer has taken out is believed for so long at most. */
const FRESH_MS = 60 * 60_000;
/** Whoever makes up key ids makes nobody ask more often than that. */
const BETWEEN_MS = 5 * 60_000;
/** Where there was no answer, or none of use. */
const AFTER_FAILURE_MS = 10_000;
const PATIENCE_MS = 5_000;

export interface KeySetEvents {
  /** The issuer has other keys than before. */
  onChanged: () => void;
  onFailed: (why: string) => void;
}

/** The public keys that an issuer shows at a URL. */
export class RemoteKeySet {
  readonly #url: string;
  readonly #events: KeySetEvents;
  #keys: LocalJWKSet | undefined;
  #text = "";
  #fetchedAt = -Infinity;
  #nextAt = -Infinity;
  #fetching: Promise<void> | undefined;

  constructor(url: string, events: KeySetEvents) {
    this.#url = url;
    this.#events = events;
  }

  /** The one key that the header leads to. Rejects where there is none, or more than one. */
  readonly find = async (header: JWSHeaderParameters): Promise<CryptoKey> => {
    if (performance.now() - this.#fetchedAt > FRESH_MS) await this.#refresh();
    try {
      return await this.#findNow(header);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#refresh())) throw error;
      return await this.#findNow(header);
    }
  };

  async #findNow(header: JWSHeaderParameters): Promise<CryptoKey> {
    if (this.#keys === undefined) throw new errors.JWKSNoMatchingKey();
    return await this.#keys(header);
  }

  /** Asks the issuer, or waits with whoever asks already; false where it is too early to ask again. */
  async #refresh(): Promise<boolean> {
    const now = performance.now();
    if (this.#fetching === undefined && now < this.#nextAt) return false;
    this.#fetching ??= this.#fetch().finally(() => (this.#fetching = undefined));
    await this.#fetching;
    return true;
  }

  async #fetch(): Promise<void> {
    try {
      const { status, body } = await getOnce(this.#url, AbortSignal.timeout(PATIENCE_MS));
      if (status !== 200) throw new Error(`the answer was ${status}`);
      const keys = createLocalJWKSet(objectIn(body) as unknown as JSONWebKeySet);
      const isChanged = this.#keys !== undefined && this.#text !== body;
      this.#keys = keys;
      this.#text = body;
      this.#fetchedAt = performance.now();
      this.#nextAt = this.#fetchedAt + BETWEEN_MS;
      if (isChanged) this.#events.onChanged();
    } catch (error) {
      this.#nextAt = performance.now() + AFTER_FAILURE_MS;
      this.#events.onFailed(error instanceof Error ? error.message : "unknown reason");
    }
  }
}
