import { setImmediate as nextTurn } from "node:timers/promises";
import { unawaited } from "../containment.ts";
import { toSupervisorError } from "../errors.ts";
import type { SupervisorError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Vault } from "../vault/vault.ts";
import { placeOf } from "./session-record.ts";
import type { SessionRecord } from "./session-record.ts";

/** Of what one session knows: as much as a client has reason to say, and much more. */
const MAX_BYTES = 256 * 1024;
const WRITE_MS = 1_000;
/** After a write that failed: the disk may have room again. */
const RETRY_MS = 10_000;
/** Written in one turn: a millisecond or two. */
const AT_ONCE = 16;

export interface RecordWriterOptions {
  readonly store: Pick<Store, "sessions" | "relaxed">;
  readonly vault: Pick<Vault, "seal" | "open">;
  readonly log: Pick<Logger, "error">;
}

/**
 * Writes records into the database, a few at a time and without waiting for the disk. Nothing here
 * throws: what the database does not take is logged, told by `failure`, and tried again.
 */
export class RecordWriter {
  readonly #options: RecordWriterOptions;
  /** Those that know what is written nowhere, or were used since. */
  readonly #unwritten = new Set<SessionRecord>();
  #timer: NodeJS.Timeout | undefined;
  #isWriting = false;
  #isClosed = false;
  #failure: SupervisorError | undefined;

  constructor(options: RecordWriterOptions) {
    this.#options = options;
  }

  /** Why sessions would not outlive the daemon now; undefined where they would. */
  get failure(): SupervisorError | undefined {
    return this.#failure;
  }

  /** What is not written yet. */
  get unwritten(): Iterable<SessionRecord> {
    return this.#unwritten;
  }

  /** Is written within a second. */
  add(record: SessionRecord): void {
    this.#unwritten.add(record);
    this.#writeIn(WRITE_MS);
  }

  /** Is not written any more. */
  drop(record: SessionRecord): void {
    this.#unwritten.delete(record);
  }

  /** Writes all that there is, with rests in which others go on. */
  async writeAll(): Promise<void> {
    while (this.writeNow(this.#next()) && this.#unwritten.size > 0) await nextTurn();
  }

  /** As `writeAll`, without rests, once and for all. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    while (this.#unwritten.size > 0 && this.writeNow(this.#next()));
  }

  /** False where the database does not take them; they are to be written again. */
  writeNow(records: readonly SessionRecord[]): boolean {
    if (records.length === 0) return true;
    for (const record of records) this.#unwritten.delete(record);
    const stored: boolean[] = [];
    const isWritten = this.write((rows) => {
      for (const record of records) stored.push(this.#writeOne(rows, record));
    });
    for (const [index, record] of records.entries()) {
      if (isWritten) {
        record.isStored = stored[index]!;
        record.hasChanged = false;
        record.writtenUse = record.session.lastUsedAt;
      } else this.#unwritten.add(record);
    }
    if (!isWritten) this.#writeIn(RETRY_MS);
    return isWritten;
  }

  /** Whether there is a row of it then. */
  #writeOne(rows: Store["sessions"], record: SessionRecord): boolean {
    const { head, session, isStored, hasChanged } = record;
    if (isStored && !hasChanged) {
      rows.touch(head);
      return true;
    }
    const text = JSON.stringify(session.memory.written);
    if (text.length > MAX_BYTES) {
      rows.delete(head.hash);
      return false;
    }
    const row = { ...head, box: this.#options.vault.seal(text, placeOf(head)) };
    if (!isStored) return rows.insert(row);
    rows.save(row);
    return true;
  }

  /** What `work` finds; undefined where the database is not to be read. */
  read<T>(work: (rows: Store["sessions"]) => T): T | undefined {
    try {
      return work(this.#options.store.sessions);
    } catch (err) {
      this.#options.log.error({ err }, "a session could not be read from the database");
      return undefined;
    }
  }

  /** False where it could not be done. */
  write(work: (rows: Store["sessions"]) => void): boolean {
    const { store, log } = this.#options;
    try {
      store.relaxed(() => work(store.sessions));
      this.#failure = undefined;
      return true;
    } catch (err) {
      if (this.#failure === undefined)
        log.error({ err }, "sessions cannot be written down, and would not outlive the daemon");
      this.#failure = toSupervisorError(err);
      return false;
    }
  }

  #writeIn(ms: number): void {
    if (this.#isClosed || this.#isWriting) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      unawaited("session", () => {}, this.#writeInTurns());
    }, ms).unref();
  }

  async #writeInTurns(): Promise<void> {
    this.#isWriting = true;
    await this.writeAll();
    this.#isWriting = false;
    if (this.#unwritten.size > 0) this.#writeIn(RETRY_MS);
  }

  #next(): SessionRecord[] {
    const next: SessionRecord[] = [];
    for (const record of this.#unwritten) if (next.push(record) === AT_ONCE) break;
    return next;
  }
}
