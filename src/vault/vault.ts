/** Room: vault. Seals secrets so that the database alone gives nothing away. In: text and where it belongs. Out: a box that opens only there. Knows no user, keeps no plain text. */
import { SupervisorError } from "../errors.ts";
import { DAY_MS } from "../platform/durations.ts";
import type { Store } from "../store/store.ts";
import { Checks } from "./checks.ts";
import { makeKeyFile, readKeyFile, refuseKeyFile } from "./key-file.ts";
import type { VaultKey } from "./key-list.ts";
import { Keyring } from "./keyring.ts";
import { requireKeysOf } from "./requirements.ts";

export interface Vault {
  /** Seals `text` for the place that `aad` names; no two boxes are alike. */
  seal(text: string, aad: string): Buffer;
  /** What was sealed for that place. STORE_FAILED where the box was changed or is another place's. */
  open(box: Buffer, aad: string): string;
  readonly keyring: Keyring;
  /** What somebody should see to: the key file, or a box that did not open within the last day. */
  trouble(): SupervisorError | undefined;
  /** Resolves when nothing is being sealed anew any more. */
  close(): Promise<void>;
}

export interface VaultOptions {
  keyFile: string;
  store: Store;
  /** What the file holds, where this account cannot read it. They are wiped. */
  keys?: VaultKey[];
  /** Sees each key once, to keep it out of all output; the bytes are wiped afterwards. */
  hide?: (id: number, key: Buffer) => unknown;
  /** Hears why rows could not be sealed anew; that is tried again later. */
  onFailure?: (error: unknown) => void;
  /** While rows are sealed anew: how many times as long as the work the rests are, in which others go on; 120. */
  restFactor?: number;
}

/**
 * Opens the vault with the keys in `keyFile`, which is made (0400) at the first start.
 *
 * Rejects with KEY_FILE_REFUSED where other accounts could get at the file, and where it is missing
 * or lacks a key that the database was written with: a new one would leave every token unreadable.
 */
export function openVault(options: VaultOptions): Vault {
  const { keyFile, store, hide = () => undefined, onFailure = () => undefined } = options;
  const { restFactor } = options;
  const checks = new Checks(store.meta);
  const known = checks.ids();
  const isInUse = known.length > 0 || store.tokens.hasAny();
  const found = options.keys ?? readKeyFile(keyFile);
  if (found === undefined && isInUse)
    throw refuseKeyFile(
      keyFile,
      "is missing, and the database was written with it",
      "put the key file back from your backup; without it the tokens in the database are lost",
    );
  const keys = found ?? makeKeyFile(keyFile);
  if (isInUse) requireKeysOf(store, { keyFile, keys });
  const keyring = new Keyring({ keyFile, store, hide, onFailure, restFactor }, keys);
  let unopened: { at: number; failure: SupervisorError } | undefined;
  return {
    keyring,
    seal: (text, aad) => keyring.seal(text, aad),
    open: (box, aad) => {
      const text = keyring.open(box, aad);
      if (text !== undefined) return text;
      const failure = new SupervisorError(
        "STORE_FAILED",
        "a sealed row was changed outside of the daemon, or moved from another user or server",
      );
      unopened = { at: Date.now(), failure };
      throw failure;
    },
    trouble: () =>
      keyring.trouble() ??
      (unopened !== undefined && Date.now() - unopened.at < DAY_MS ? unopened.failure : undefined),
    close: () => keyring.close(),
  };
}
