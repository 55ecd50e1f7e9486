import type { StateName } from "../instances/supervisor.ts";
import type { Trouble } from "../notices/trouble.ts";
import type { HistoryRow } from "../store/store.ts";
import type { CallFigures } from "../telemetry/call-times.ts";
import type { Finding } from "./finding.ts";
import type { Status } from "./types.ts";

// The JSON of what the panel is made for, as types.ts has that of all else.

/** A link that signs a browser in to the panel, once. The only answer that ever holds it. */
export interface PanelLink {
  /** Of the session that it opens, for the audit. */
  id: string;
  url: string;
  expiresAt: number;
}

/** A browser that is signed in to the panel. */
export interface PanelSession {
  id: string;
  /** The account that asked for the link, or `admin token`. */
  by: string;
  since: number;
  lastSeenAt: number;
  /** At the latest; without a request for 30 minutes it is over before. */
  expiresAt: number;
  /** Whether it is the one that asks. */
  isOwn: boolean;
}

export interface EndedPanelSessions {
  ended: number;
}

/** Somebody who is not served, and why, as `doctor` has it. */
export interface FailingUser {
  user: string;
  code: string;
  cause: string;
  next: string;
}

/** What needs a person, at the last look. */
export type NowTrouble = Pick<
  Trouble,
  "kind" | "user" | "server" | "endsAt" | "reason" | "connectUrl"
>;

/** What hangs on a server at the moment. */
export interface ServerUse {
  server: string;
  users: number;
  sessions: number;
  instances: Partial<Record<StateName, number>>;
}

/** The daemon at the moment, in few words however much it serves. */
export interface Overview {
  /** Servers that somebody has had instances of since the daemon started. */
  servers: ServerUse[];
  at: number;
  version: string;
  uptimeSeconds: number;
  users: number;
  /** How many instances there are in each state. */
  instances: Partial<Record<StateName, number>>;
  memory: Status["memory"];
  queue: Status["queue"];
  /** How many children there may be. */
  children: { limit: number };
  /** Whether programs may be set over this listener's network, as `"admin": { "commands": true }` has it. */
  commands: boolean;
  sessions: number;
  streams: number;
  /** Of the last minute. */
  calls: CallFigures & { perSecond: number };
  /** The first fifty; `failingUsers` counts all. */
  failing: FailingUser[];
  failingUsers: number;
  troubles: NowTrouble[];
}

export type HistoryPoint = HistoryRow;

/** The oldest first, one for each `stepMs`. */
export interface History {
  stepMs: number;
  points: HistoryPoint[];
}

/** The machine and the config, as the daemon sees them. */
export interface MachineDoctor {
  /** Whether nothing failed. */
  ok: boolean;
  findings: Finding[];
}
