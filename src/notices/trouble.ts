/** What needs a person: somebody has to connect anew, something ends within days, or does not run. */
export const TROUBLE_KINDS = [
  "needs_reauth",
  "refresh_token",
  "token",
  "key",
  "parked",
  "provider",
  "vault",
  "disk",
] as const;

export type TroubleKind = (typeof TROUBLE_KINDS)[number];

export interface Trouble {
  kind: TroubleKind;
  /** Whose it is: one name for one thing of its kind. */
  about: string;
  /** Of one that is mended and comes again it is another number; 0 where nobody can tell. */
  event: number;
  user: string | null;
  server: string | null;
  /** Epoch ms, of what has an end. */
  endsAt: number | null;
  /** Why, where that is known; may hold what a child said. */
  reason: string | null;
  /** Where the user connects the account anew, where there is such a page. */
  connectUrl: string | null;
}

/** What there is at the moment. */
export interface Look {
  troubles: readonly Trouble[];
  /** The kinds that could be looked at. */
  known: ReadonlySet<TroubleKind>;
  /** What is mended for certain, of the kinds that may be gone for the moment only. */
  mended: readonly Pick<Trouble, "kind" | "about">[];
}

/**
 * Known to this process alone, or at the edge of a limit: where it is gone, that may be for a restart
 * of the daemon or a moment, and it is not news when it is back within the day.
 */
const FLEETING: ReadonlySet<TroubleKind> = new Set(["parked", "provider", "vault", "disk"]);

export const isFleeting = (kind: TroubleKind): boolean => FLEETING.has(kind);
