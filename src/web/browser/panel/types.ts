// What of the control API's JSON this page reads. Times are epoch ms or null.

export type StateName = "stopped" | "starting" | "ready" | "draining" | "backing-off" | "parked";
export type States = Partial<Record<StateName, number>>;

/** What `doctor` says of a user who is not served. */
export interface Cause {
  code: string;
  cause: string;
  next: string;
}

export interface Trouble {
  kind:
    | "needs_reauth"
    | "refresh_token"
    | "token"
    | "key"
    | "parked"
    | "provider"
    | "vault"
    | "disk";
  user: string | null;
  server: string | null;
  endsAt: number | null;
  reason: string | null;
}

export interface ServerUse {
  server: string;
  users: number;
  sessions: number;
  instances: States;
}

export interface Overview {
  at: number;
  version: string;
  uptimeSeconds: number;
  users: number;
  instances: States;
  servers: ServerUse[];
  memory: { usedBytes: number; limitBytes: number };
  queue: { starting: number; waiting: number };
  children: { limit: number };
  /** Whether programs may be set here. */
  commands: boolean;
  sessions: number;
  streams: number;
  calls: {
    perSecond: number;
    calls: number;
    errors: number;
    p50Ms: number | null;
    p99Ms: number | null;
  };
  failing: (Cause & { user: string })[];
  failingUsers: number;
  troubles: Trouble[];
}

export interface HistoryPoint {
  at: number;
  stopped: number;
  starting: number;
  ready: number;
  draining: number;
  backingOff: number;
  parked: number;
  memoryBytes: number;
  sessions: number;
  calls: number;
  errors: number;
  p50Ms: number | null;
  p99Ms: number | null;
}

export interface History {
  stepMs: number;
  points: HistoryPoint[];
}

export interface UserRow {
  user: string;
  state: "enabled" | "disabled" | "removing";
  createdAt: number;
  name: string | null;
  email: string | null;
}

export interface ListedUser extends UserRow {
  lastSeenAt: number | null;
  keys: number;
  keyExpiresAt: number | null;
  tokens: number;
  tokenExpiresAt: number | null;
  servers: string[];
}

export interface KeyRow {
  id: string;
  prefix: string;
  label: string | null;
  createdAt: number;
  expiresAt: number | null;
}

export interface TokenRow {
  /** Null for the general one. */
  server: string | null;
  /** Null where a provider has not given one yet, like `setAt`. */
  fingerprint: string | null;
  setAt: number | null;
  expiresAt: number | null;
  grant: { provider: string } | null;
}

export interface InstanceRow {
  server: string;
  variant: string;
  state: StateName;
  reason: string | null;
  sessions: number;
  inFlight: number;
  rssBytes: number | null;
}

export interface ShownUser extends UserRow {
  keys: KeyRow[];
  tokens: TokenRow[];
  urls: { server: string; sse: string; http: string }[];
  instances: InstanceRow[];
  /** Is asked for. */
  doctor?: Diagnosis;
}

/** Servers that are not open to all and may be used, each with whom it is granted to: the user, or a group. */
export interface UserAccess {
  groups: string[];
  granted: { server: string; by: string[] }[];
}

/** A conversation of a client. */
export interface ListedSession {
  id: string;
  server: string;
  front: "sse" | "http";
  client: { name: string; version: string } | null;
  since: number;
  lastUsedAt: number;
  attached: boolean;
  inFlight: number;
}

export interface Diagnosis {
  user: string;
  ok: boolean;
  code: string | null;
  cause: string | null;
  next: string | null;
  warnings: string[];
}

export interface ShownServer {
  id: string;
  slug: string;
  name: string;
  origin: "config" | "rest" | "environment";
  enabled: boolean;
  description?: string;
  url?: string;
  headers?: Record<string, null>;
  [key: string]: unknown;
}

/** Slugs of what an import added, changed and left as it was. */
export interface Imported {
  added: string[];
  changed: string[];
  unchanged: string[];
}

export interface AuditEntry {
  at: number;
  kind: "call" | "admin" | "refusal";
  user: string | null;
  server: string | null;
  requestId: string;
  who: string | null;
  what: string;
  outcome: string;
  reason: string | null;
  durationMs: number | null;
}

export interface ToldRequest {
  requestId: string;
  at: number;
  request: string;
  status: number;
  durationMs: number;
  remoteAddress: string;
  userAgent: string;
  user: string | null;
  server: string | null;
  tool: string | null;
  keyLabel: string | null;
  generation: number | null;
  code: string | null;
  message: string | null;
  details: readonly string[];
}

export interface RequestStory {
  requestId: string;
  request: ToldRequest | null;
  entries: AuditEntry[];
}

export interface LogRow {
  at: number;
  server: string;
  generation: number;
  text: string;
}

export interface Finding {
  check: string;
  outcome: "ok" | "warning" | "failed";
  found: string;
  next: string | null;
}

export interface PanelSession {
  id: string;
  by: string;
  since: number;
  lastSeenAt: number;
  expiresAt: number;
  isOwn: boolean;
}
