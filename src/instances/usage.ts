import type { Live } from "./instance-types.ts";

/** What keeps a child though no request is under way. */
export interface IdleHold {
  /** The child is gone, and with it what it was kept for. */
  clear(): void;
}

/** A session, which the next generation may take over. */
export interface Follower {
  /** That generation is ready. Throws nothing. */
  follow(live: Live): void;
}

/** What sessions tell the supervisor about an instance. They write, the supervisor reads. */
export interface Usage {
  sessions: number;
  /** Requests under way; a ping is none. */
  inFlight: number;
  /** Calls that a child has answered, of all generations; neither `initialize` nor a ping is one. */
  answered: number;
  /** Of all that was answered, of all generations. */
  answeredBytes: number;
  /** Sessions with subscriptions, or with questions of the child that wait for their client's answer. */
  readonly holds: Set<IdleHold>;
  /** The sessions that are told of the next generation before anybody can send to it. */
  readonly followers: Set<Follower>;
  /** Until then (`performance.now()`) a task may run. */
  keepUntil: number;
  /** `performance.now()` of the last use: the end of a request, or of what kept the child. */
  lastMessageAt: number | null;
}

export function newUsage(): Usage {
  return {
    sessions: 0,
    inFlight: 0,
    answered: 0,
    answeredBytes: 0,
    holds: new Set(),
    followers: new Set(),
    keepUntil: 0,
    lastMessageAt: null,
  };
}

/** The child is gone: nothing of what it was kept for is left. */
export function releaseHolds(usage: Usage): void {
  usage.keepUntil = 0;
  for (const hold of usage.holds) hold.clear();
}

/** There is a child again, whoever wanted it. */
export function tellFollowers({ followers }: Usage, live: Live): void {
  for (const session of followers) session.follow(live);
}

/** Whether the child is needed now, whatever the clock says. */
export function isInUse({ inFlight, holds, keepUntil }: Usage): boolean {
  return inFlight > 0 || holds.size > 0 || keepUntil > performance.now();
}

/** Since when (`performance.now()`) the child has been of no use, at the earliest from `from` on; undefined while it is in use. */
export function idleSince(usage: Usage, from: number): number | undefined {
  return isInUse(usage) ? undefined : Math.max(from, usage.keepUntil, usage.lastMessageAt ?? 0);
}
