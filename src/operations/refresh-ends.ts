import { DAY_MS } from "../platform/durations.ts";
import type { GrantRow } from "../store/store.ts";

/** A refresh token that lives no longer than this ends soon from its first day on: that is no news. */
const SHORT_LIFE_MS = 7.5 * DAY_MS;

interface Seen {
  endsAt: number | null;
  refreshedAt: number | null;
  /** A refresh has left its end as it was. */
  isFixed: boolean;
}

/**
 * Which refresh tokens that end soon need somebody. Those that are replaced with each refresh do not,
 * as long as they are refreshed, which is done a day before their end at the latest.
 */
export class RefreshEnds {
  /** By user and server, as they were last seen. */
  #seen = new Map<string, Seen>();

  /** Of these, all that end soon, the ones that no refresh prolongs. */
  untended(rows: readonly GrantRow[]): GrantRow[] {
    const seen = new Map<string, Seen>();
    const found = rows.filter((row) => {
      const { user, server, refreshExpiresAt: endsAt, refreshedAt, since } = row;
      const key = `${user}/${server}`;
      const before = this.#seen.get(key);
      const isSame = before?.endsAt === endsAt;
      const isFixed = isSame && (before.isFixed || before.refreshedAt !== refreshedAt);
      seen.set(key, { endsAt, refreshedAt, isFixed });
      const isLongLived = (endsAt ?? 0) - (refreshedAt ?? since) > SHORT_LIFE_MS;
      return isFixed || isLongLived;
    });
    this.#seen = seen;
    return found;
  }
}
