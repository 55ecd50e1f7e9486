import { createSecretKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { statSync } from "node:fs";
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { SupervisorError, counted, toSupervisorError } from "../errors.ts";
import type { RowKey, SealedRows, Store } from "../store/store.ts";
import { headOf, keyIdOf, seal, unseal } from "./box.ts";
import { Checks } from "./checks.ts";
import { SEALED_COLUMNS } from "./columns.ts";
import {
  addToKeyFile,
  isCredential,
  refuseKeyFile,
  removeFromKeyFile,
  requireKeys,
} from "./key-file.ts";
import { parseKey } from "./key-list.ts";
import type { VaultKey } from "./key-list.ts";
import { Resealer } from "./resealer.ts";

/** Every box begins with no bytes. */
const ANY = Buffer.alloc(0);
/** Rows that are counted in one turn of the event loop. */
const COUNTED_AT_ONCE = 2000;

export interface KeyringStatus {
  keyFile: string;
  /** The service manager handed the file over, and the daemon cannot change it. */
  isCredential: boolean;
  /** The newest first; what is sealed from now on is sealed with it. */
  keys: { id: number; rows: number }[];
  /** Rows that are not sealed with the newest key yet. */
  left: number;
  /** Whether they are being sealed anew at the moment. */
  isResealing: boolean;
}

export interface KeyringParts {
  keyFile: string;
  store: Store;
  hide: (id: number, key: Buffer) => unknown;
  onFailure: (error: unknown) => void;
  /** Of the resealer. */
  restFactor?: number | undefined;
}

/** A copy that is being made is waited for, so long at most, and looked for so often. */
const COPY_WAIT_MS = 10_000;
const COPY_LOOK_MS = 50;

/** Another text once the file was changed, or is another one. */
function looksOf(file: string): string {
  try {
    const { dev, ino, ctimeNs } = statSync(file, { bigint: true });
    return `${dev} ${ino} ${ctimeNs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

const inUse = (message: string, remedy: string): SupervisorError =>
  new SupervisorError("KEY_IN_USE", message, { details: [remedy] });

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

/** The keys of a vault, the newest first, and the rows that each has sealed. */
export class Keyring {
  readonly #parts: KeyringParts;
  readonly #checks: Checks;
  readonly #columns: readonly SealedRows[];
  readonly #resealer: Resealer;
  readonly #keys = new Map<number, KeyObject>();
  #newest: number;
  #lastLook: { looks: string; trouble: SupervisorError | undefined } | undefined;

  /** `keys` are wiped. Every key with a check must have been found to fit it. */
  constructor(parts: KeyringParts, keys: readonly VaultKey[]) {
    const { store, onFailure, restFactor } = parts;
    this.#parts = parts;
    this.#checks = new Checks(store.meta);
    this.#columns = SEALED_COLUMNS.map((column) => store.sealed(column));
    for (const key of keys) this.#take(key);
    this.#newest = Math.max(...this.#keys.keys());
    this.#resealer = new Resealer({
      store,
      columns: this.#columns,
      newest: () => this.#newest,
      reseal: (box, place) => {
        const text = this.open(box, place);
        return text === undefined ? undefined : this.seal(text, place);
      },
      onFailure,
      restFactor,
    });
    this.#confirmNewest();
  }

  #take({ id, bytes }: VaultKey): void {
    this.#parts.hide(id, bytes);
    this.#keys.set(id, createSecretKey(bytes));
    bytes.fill(0);
  }

  /** A new key is in use once its check is written; one that was killed before that is met here again. */
  #confirmNewest(): void {
    const key = this.#keys.get(this.#newest)!;
    if (this.#checks.fits(this.#newest, key) === undefined) this.#checks.add(this.#newest, key);
  }

  seal(text: string, place: string): Buffer {
    return seal(this.#newest, this.#keys.get(this.#newest)!, text, place);
  }

  open(box: Buffer, place: string): string | undefined {
    const key = this.#keys.get(keyIdOf(box) ?? -1);
    return key && unseal(key, box, place);
  }

  /** Seals behind all other work what an older key has sealed, and goes on with it after a crash. */
  resume(): void {
    this.#resealer.start();
  }

  /** Resolves when all rows are sealed with the newest key, but those that do not open. */
  async resealed(): Promise<void> {
    await this.#resealer.finished();
  }

  /**
   * Makes a new key in the key file, seals with it from now on, and the rest anew behind the traffic.
   * KEY_FILE_REFUSED where the file cannot be written or holds other keys than these; DISK_FULL or
   * STORE_FAILED where the database cannot be written, and the file is as it was.
   */
  rotate(): number {
    const { keyFile } = this.#parts;
    this.#requireOwnFile();
    this.requireWritable();
    const [added, ...others] = addToKeyFile(keyFile);
    for (const { bytes } of others) bytes.fill(0);
    return this.#add(added!);
  }

  /** As `rotate`, with a line that was put into the key file already. REQUEST_INVALID for any other text. */
  accept(line: string): number {
    const key = parseKey(line);
    if (key === undefined) throw invalid("the key is not one line of a key file");
    const known = this.#keys.get(key.id);
    if (known === undefined && key.id > this.#newest) {
      this.requireWritable();
      return this.#add(key);
    }
    const isKnown = known?.equals(createSecretKey(key.bytes)) ?? false;
    key.bytes.fill(0);
    if (isKnown && key.id === this.#newest) return key.id;
    throw invalid(`the key ${key.id} is not newer than the key ${this.#newest}`);
  }

  /** Whoever puts a new key into the file asks before: nothing could be sealed with it. DISK_FULL or STORE_FAILED. */
  requireWritable(): void {
    this.#checks.add(this.#newest, this.#keys.get(this.#newest)!);
  }

  #add(key: VaultKey): number {
    const { id } = key;
    this.#take(key);
    this.#newest = id;
    this.#confirmNewest();
    this.resume();
    return id;
  }

  /** As `forget`, and takes the key out of its file too, unless the service manager hands that over. */
  async drop(id: number): Promise<void> {
    const { keyFile } = this.#parts;
    const key = this.#keys.get(id);
    await this.forget(id);
    if (isCredential(keyFile) || key === undefined) return;
    try {
      removeFromKeyFile(keyFile, id);
    } catch (error) {
      this.#keys.set(id, key);
      this.#checks.add(id, key);
      throw error;
    }
  }

  /** Opens nothing with an older key any more. KEY_NOT_FOUND; KEY_IN_USE while a row needs it. */
  async forget(id: number): Promise<void> {
    this.#requireKnown(id);
    const rows = id === this.#newest ? 0 : ((await this.#count()).get(id) ?? 0);
    // A rotation may have come meanwhile, but no other key becomes the newest again.
    if (id === this.#newest || rows > 0)
      throw inUse(
        id === this.#newest
          ? `the key ${id} is the one that seals`
          : `the key ${id} is needed by ${counted(rows, "row")}, and by the backups made until now`,
        "keyring status shows which rows are left to be sealed anew",
      );
    await this.#emptyLog(id);
    // Another order may have dropped it meanwhile.
    this.#requireKnown(id);
    // Before the file: a key that has a check and is not in the file is a key that was lost.
    this.#checks.remove(id);
    this.#keys.delete(id);
  }

  #requireKnown(id: number): void {
    if (!this.#keys.has(id))
      throw new SupervisorError("KEY_NOT_FOUND", `the vault has no key ${id}`);
  }

  /** What was sealed anew is in the log as it was, until the log is empty: who had the key could open that. */
  async #emptyLog(id: number): Promise<void> {
    const untilAt = performance.now() + COPY_WAIT_MS;
    while (!this.#parts.store.emptyLog()) {
      if (performance.now() > untilAt)
        throw inUse(
          `the key ${id} opens what a backup is reading now`,
          "try again when the backup is made",
        );
      await delay(COPY_LOOK_MS);
    }
  }

  async status(): Promise<KeyringStatus> {
    const { keyFile } = this.#parts;
    const counts = await this.#count();
    const keys = [...this.#keys.keys()]
      .toSorted((one, other) => other - one)
      .map((id) => ({ id, rows: counts.get(id) ?? 0 }));
    let left = 0;
    for (const [id, rows] of counts) if (id !== this.#newest) left += rows;
    const isResealing = this.#resealer.isRunning;
    return { keyFile, isCredential: isCredential(keyFile), keys, left, isResealing };
  }

  /** Why the daemon would not start again with the key file as it is; undefined where it would. */
  trouble(): SupervisorError | undefined {
    const looks = `${looksOf(this.#parts.keyFile)} ${[...this.#keys.keys()].join()}`;
    // Not read without need: what is read of it cannot be wiped.
    if (this.#lastLook?.looks !== looks) this.#lastLook = { looks, trouble: this.#look() };
    return this.#lastLook.trouble;
  }

  #look(): SupervisorError | undefined {
    const { keyFile } = this.#parts;
    try {
      // One of the service manager is a copy, which does not follow a rotation before the next start.
      if (isCredential(keyFile)) for (const { bytes } of requireKeys(keyFile)) bytes.fill(0);
      else this.#requireSameFile();
      return undefined;
    } catch (error) {
      return toSupervisorError(error);
    }
  }

  async close(): Promise<void> {
    await this.#resealer.close();
  }

  #requireOwnFile(): void {
    const { keyFile } = this.#parts;
    if (isCredential(keyFile))
      throw refuseKeyFile(
        keyFile,
        "comes from the service manager, and the daemon cannot write it",
        "run keyring rotate as root: it changes the file that the unit names",
      );
    this.#requireSameFile();
  }

  #requireSameFile(): void {
    const { keyFile } = this.#parts;
    const inFile = requireKeys(keyFile);
    const isSame =
      inFile.length === this.#keys.size &&
      inFile.every(({ id, bytes }) => this.#keys.get(id)?.equals(createSecretKey(bytes)));
    for (const { bytes } of inFile) bytes.fill(0);
    if (!isSame)
      throw refuseKeyFile(
        keyFile,
        "has changed since the daemon read it",
        "put back what it held, or restart the daemon to use what it holds now",
      );
  }

  /** Rows by the number of their key; -1 for what no key of ours has sealed. */
  async #count(): Promise<Map<number, number>> {
    const counts = new Map<number, number>();
    const add = (id: number, rows: number): void =>
      void (rows > 0 && counts.set(id, (counts.get(id) ?? 0) + rows));
    for (const column of this.#columns) {
      let after: RowKey | undefined;
      do {
        let others = column.countAfter(after, COUNTED_AT_ONCE, ANY);
        for (const id of this.#keys.keys()) {
          const rows = column.countAfter(after, COUNTED_AT_ONCE, headOf(id));
          add(id, rows);
          others -= rows;
        }
        add(-1, others);
        after = column.lastAfter(after, COUNTED_AT_ONCE);
        await nextTurn();
      } while (after !== undefined);
    }
    return counts;
  }
}
