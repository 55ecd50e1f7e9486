import type { Metrics } from "./metrics.ts";

/** What became of a session that was to go on with another generation. */
export type ReplayOutcome =
  | "ok"
  /** The server refused `initialize`, or something else that the session stands on. */
  | "refused"
  /** It answered with another protocol version. */
  | "other-version"
  /** It lacks a capability that it had. */
  | "lacks-capability"
  /** That generation ended before the session stood. */
  | "interrupted";

/** One user's server. */
interface Owner {
  readonly user: string;
  readonly server: string;
}

/** What sessions tell of the ends of children, each as it happens. */
export interface Survival {
  onReplay(whose: Owner, outcome: ReplayOutcome): void;
  /** A session is over because it could not be replayed; `reason` says why, as a predicate of the server. */
  onReplayRefused(whose: Owner, reason: string): void;
  /** So many calls went to another generation than before. */
  onResent(whose: Owner, calls: number): void;
  /** So many calls got an error in place of an answer; `reason` as that of `Ended`. */
  onLost(whose: Owner, calls: number, reason: string): void;
}

/** The last session of a user's server that could not be replayed. */
export interface RefusedReplay {
  readonly server: string;
  readonly reason: string;
  /** Epoch ms. */
  readonly at: number;
}

/** Of as many users' servers it is known; the longest known is forgotten for a new one. */
const MAX_KNOWN = 1000;
const MAX_REASON = 400;

/** The sessions that could not be replayed, in memory, for whoever asks why one ended. */
export class RefusedReplays {
  readonly #last = new Map<string, RefusedReplay & { readonly user: string }>();

  add({ user, server }: Owner, reason: string): void {
    const key = `${user}/${server}`;
    this.#last.delete(key);
    this.#last.set(key, { user, server, reason: reason.slice(0, MAX_REASON), at: Date.now() });
    if (this.#last.size > MAX_KNOWN) this.#last.delete(this.#last.keys().next().value!);
  }

  /** Of this user, the latest first. */
  of(user: string): RefusedReplay[] {
    return [...this.#last.values()].filter((one) => one.user === user).toReversed();
  }
}

/** Counts what sessions tell, and remembers whose could not be replayed. */
export function survival(metrics: Metrics, refused: RefusedReplays): Survival {
  return {
    onReplay: ({ server }, outcome) => metrics.replayed(server, outcome),
    onReplayRefused: (whose, reason) => refused.add(whose, reason),
    onResent: ({ server }, calls) => metrics.resent(server, calls),
    onLost: ({ server }, calls, reason) => metrics.lost(server, lossOf(reason), calls),
  };
}

/** Few, because each is a series of its own. */
const LOSSES: readonly (readonly [RegExp, string])[] = [
  [/^was killed\b/, "killed"],
  [/^exited with\b/, "exited"],
  [/^was restarted\b/, "restarted"],
  [/^was stopped\b/, "stopped"],
];

/** By which kind of end calls were lost: `was killed by SIGKILL` → `killed`. */
function lossOf(reason: string): string {
  return LOSSES.find(([pattern]) => pattern.test(reason))?.[1] ?? "other";
}
