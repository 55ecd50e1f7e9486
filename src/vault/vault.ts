/** Room: vault. Seals secrets so that the database alone gives nothing away. In: text and where it belongs. Out: a box that opens only there. Knows no user, keeps no plain text. */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { SupervisorError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import { makeKeyFile, readKeyFile, refuseKeyFile } from "./key-file.ts";

/** The layout of a box: this byte, the IV, the ciphertext, the tag. */
const VERSION = 1;
const IV_BYTES = 12;
const TAG_BYTES = 16;

const CHECK_NAME = "vault-check";
const CHECK_PLACE = `meta|${CHECK_NAME}`;

export interface Vault {
  /** Seals `text` for the place that `aad` names; no two boxes are alike. */
  seal(text: string, aad: string): Buffer;
  /** What was sealed for that place. STORE_FAILED where the box was changed or is another place's. */
  open(box: Buffer, aad: string): string;
}

export interface VaultOptions {
  keyFile: string;
  store: Store;
  /** Sees the key once, to keep it out of all output; the bytes are wiped afterwards. */
  hide?: (key: Buffer) => unknown;
}

/**
 * Opens the vault with the key in `keyFile`, which is made (0400) at the first start.
 *
 * Rejects with KEY_FILE_REFUSED where other accounts could get at the file, and where it is missing
 * or another one than the database was written with: a new key would leave every token unreadable.
 */
export function openVault({ keyFile, store, hide }: VaultOptions): Vault {
  const check = store.meta.find(CHECK_NAME);
  const isInUse = check !== undefined || store.tokens.hasAny();
  const found = readKeyFile(keyFile);
  if (found === undefined && isInUse)
    throw refuseKeyFile(
      keyFile,
      "is missing, and the database was written with it",
      "put the key file back from your backup; without it the tokens in the database are lost",
    );
  const bytes = found ?? makeKeyFile(keyFile);
  hide?.(bytes);
  const key = createSecretKey(bytes);
  bytes.fill(0);
  if (!isInUse) store.meta.set(CHECK_NAME, seal(key, CHECK_NAME, CHECK_PLACE));
  else if (check === undefined || unseal(key, check, CHECK_PLACE) === undefined)
    throw refuseKeyFile(
      keyFile,
      "is not the key that the database was written with",
      "put back the key file and the database that belong together",
    );
  return {
    seal: (text, aad) => seal(key, text, aad),
    open: (box, aad) => {
      const text = unseal(key, box, aad);
      if (text !== undefined) return text;
      throw new SupervisorError(
        "STORE_FAILED",
        "a sealed row was changed outside of the daemon, or moved from another user or server",
      );
    },
  };
}

function seal(key: KeyObject, text: string, aad: string): Buffer {
  // Random, not counted: a counter would repeat after a restored backup, and a repeated IV breaks GCM.
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(bound(aad));
  const sealed = [cipher.update(text, "utf8"), cipher.final()];
  return Buffer.concat([Buffer.of(VERSION), iv, ...sealed, cipher.getAuthTag()]);
}

function unseal(key: KeyObject, box: Buffer, aad: string): string | undefined {
  if (box[0] !== VERSION || box.length < 1 + IV_BYTES + TAG_BYTES) return undefined;
  const iv = box.subarray(1, 1 + IV_BYTES);
  const decipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(bound(aad));
  decipher.setAuthTag(box.subarray(-TAG_BYTES));
  try {
    const text = decipher.update(box.subarray(1 + IV_BYTES, -TAG_BYTES));
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch {
    // The tag does not fit; OpenSSL says no more than that.
    return undefined;
  }
}

/** The version is bound too: a later layout must not be passed off as this one. */
function bound(aad: string): Buffer {
  return Buffer.from(`${VERSION}|${aad}`);
}
