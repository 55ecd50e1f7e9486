import { DAY_MS } from "../platform/durations.ts";
import type { NoticeRow, Store } from "../store/store.ts";
import { TROUBLE_KINDS, isFleeting } from "./trouble.ts";
import type { Look, Trouble, TroubleKind } from "./trouble.ts";

/** What comes within this time of the first of its kind is told together with it. */
const GATHER_MS = 60_000;
/** Between a try and the next one. */
const RETRY_MS = [60_000, 300_000];
const TRIES = RETRY_MS.length + 1;

const keyOf = (channel: string, { kind, about }: { kind: string; about: string }): string =>
  `${channel}\n${kind}\n${about}`;

/**
 * Who was told what, and when they are told again. It is in the database too, so that a restart repeats
 * nothing; where that takes no writing (the very thing that is to be told), it is written as soon as it does.
 */
export class NoticeBook {
  readonly #store: Pick<Store, "notices" | "transaction">;
  readonly #rows = new Map<string, NoticeRow>();
  /** Rows that are not in the database as they are here. */
  readonly #unsaved = new Map<string, NoticeRow>();

  constructor(store: Pick<Store, "notices" | "transaction">) {
    this.#store = store;
    for (const row of store.notices.all()) this.#rows.set(keyOf(row.channel, row), row);
  }

  /** Forgets what others were told. */
  keepOnly(channels: readonly string[]): void {
    for (const row of this.#rows.values()) if (!channels.includes(row.channel)) this.#delete(row);
  }

  /** Takes in what there is for the channel: what is new will be due, what is mended is forgotten. */
  see(channel: string, { troubles, known, mended }: Look, now: number): void {
    const there = new Set(troubles.map((trouble) => keyOf(channel, trouble)));
    const isMended = new Set(mended.map((one) => keyOf(channel, one)));
    for (const [key, row] of this.#rows) {
      if (row.channel !== channel) continue;
      const kind = row.kind as TroubleKind;
      const isGone = !there.has(key) && known.has(kind) && (!isFleeting(kind) || row.dueAt <= now);
      if (isGone || isMended.has(key) || !TROUBLE_KINDS.includes(kind)) this.#delete(row);
      // The clock was set back.
      else if (row.dueAt > now + DAY_MS) this.#set({ ...row, dueAt: now + DAY_MS });
    }
    for (const { kind, about, event } of troubles)
      if (this.#rows.get(keyOf(channel, { kind, about }))?.event !== event)
        this.#set({ channel, kind, about, event, tries: 0, dueAt: now + GATHER_MS });
  }

  /** What the channel is to be told now, a list for each kind. */
  due(channel: string, troubles: readonly Trouble[], now: number): Trouble[][] {
    const dueAt = (trouble: Trouble): number =>
      this.#rows.get(keyOf(channel, trouble))?.dueAt ?? Infinity;
    return TROUBLE_KINDS.flatMap((kind) => {
      const soon = troubles.filter((one) => one.kind === kind && dueAt(one) <= now + GATHER_MS);
      return soon.some((one) => dueAt(one) <= now) ? [soon] : [];
    });
  }

  /** They are about to be told: a daemon that ends before it knows what became of that has tried. */
  begin(channel: string, troubles: readonly Trouble[], now: number): void {
    for (const row of this.#of(channel, troubles)) {
      const dueAt = now + (RETRY_MS[row.tries] ?? DAY_MS);
      this.#set({ ...row, tries: (row.tries + 1) % TRIES, dueAt });
    }
  }

  told(channel: string, troubles: readonly Trouble[], now: number): void {
    for (const row of this.#of(channel, troubles))
      this.#set({ ...row, tries: 0, dueAt: now + DAY_MS });
  }

  /** The last try was the last for today. */
  isGivenUp(channel: string, troubles: readonly Trouble[]): boolean {
    return this.#of(channel, troubles).every(({ tries }) => tries === 0);
  }

  /** Brings the database up to date; throws STORE_FAILED or DISK_FULL, and is then to be called again. */
  save(): void {
    if (this.#unsaved.size === 0) return;
    const { notices } = this.#store;
    this.#store.transaction(() => {
      for (const [key, row] of this.#unsaved)
        if (this.#rows.has(key)) notices.set(row);
        else notices.delete(row);
    });
    this.#unsaved.clear();
  }

  #of(channel: string, troubles: readonly Trouble[]): NoticeRow[] {
    return troubles.flatMap((trouble) => this.#rows.get(keyOf(channel, trouble)) ?? []);
  }

  #set(row: NoticeRow): void {
    const key = keyOf(row.channel, row);
    this.#rows.set(key, row);
    this.#unsaved.set(key, row);
  }

  #delete(row: NoticeRow): void {
    const key = keyOf(row.channel, row);
    this.#rows.delete(key);
    this.#unsaved.set(key, row);
  }
}
