import type { SetToken } from "../operations/apply-tokens.ts";
import type { ErrorCode } from "../errors.ts";
import type { Origin } from "../catalog/catalog.ts";
import type { AuditRow } from "../audit/audit.ts";
import type { OwnerKind } from "../containment.ts";
import type { Enforcement } from "../engines/kubernetes/policy-trial.ts";
import type { ServerLevel } from "../engines/process/levels.ts";
import type { Unkept } from "../engines/process/limits.ts";
import type { NoticeDef, ServerDef } from "../config/config.ts";
import type { AccessKey, Granted, Group, User } from "../auth/registry.ts";
import type { InstanceFailure, InstanceStatus, LogLine } from "../instances/supervisor.ts";
import type { Change } from "../operations/apply.ts";
import type { StoredToken } from "../tokens/tokens.ts";
import type { UrlRow } from "../web/urls.ts";

// The JSON of the control API. Times are epoch ms or null.

/** A row of `status`. */
export interface StatusRow extends InstanceStatus {
  /** Down after failures, about to be tried again, or ready and at a limit. */
  failing: boolean;
}

/** A server, with keys as the config file has them; of headers and env the names, each with null. */
export interface ShownServer {
  id: string;
  slug: string;
  name: string;
  origin: Origin;
  description?: string;
  enabled: boolean;
  [key: string]: unknown;
}

export type { ImportedServers, RemovedServer } from "../operations/server-orders.ts";

export interface UserRow {
  user: string;
  state: User["state"];
  createdAt: number;
  /** What people know the user by. */
  name: string | null;
  email: string | null;
}

/** What may still be there of what an order has ended. */
export interface Unreached {
  /** Until when, as epoch ms, a pod may live that cannot be reached; null where there is none. */
  mayLiveUntil: number | null;
}

/** A user in the list. An expiry is that of the first that ends, or has ended, null where none does. */
export interface ListedUser extends UserRow {
  /** Null where it is not known. */
  lastSeenAt: number | null;
  keys: number;
  keyExpiresAt: number | null;
  tokens: number;
  tokenExpiresAt: number | null;
  /** Those that the user has had instances of since the daemon started, or has tokens of their own for. */
  servers: string[];
}

export type { Granted, Group } from "../auth/registry.ts";
export type { Change } from "../operations/apply.ts";
export type { UrlRow } from "../web/urls.ts";

export interface Urls {
  user: string;
  urls: UrlRow[];
  /** What each server speaks by itself; a client does best with the same. */
  transports: Record<string, ServerDef["transport"]>;
}

/** `prefix` is how the secret begins. */
export type KeyRow = AccessKey;

export type { OwnedKey } from "../auth/registry.ts";

/** The only answer that ever holds the secret. */
export interface IssuedKey {
  id: string;
  secret: string;
  label: string | null;
  expiresAt: number | null;
}

/** The only answer that ever holds the token. */
export type { IssuedJwt } from "../auth/registry.ts";

/** What an issuer of JWTs calls a user. */
export interface IdentityRow {
  issuer: string;
  subject: string;
  linkedAt: number;
}

/** `server` is null for the general token, which every server without one of its own gets. */
export type TokenRow = StoredToken;

/** What became of each token that a provider was asked for. */
export interface RefreshedTokens {
  user: string;
  refreshed: { server: string; failure: { code: ErrorCode; message: string } | null }[];
}

/** What became of a test that was sent to each of `notices` in the config. */
export interface TestedNotices {
  notices: {
    kind: NoticeDef["kind"];
    urlFile: string;
    failure: { code: ErrorCode; message: string } | null;
  }[];
}

export interface AddedUser {
  user: string;
  key: { id: string; secret: string };
  urls: UrlRow[];
}

/** The only answer that ever holds the URL. */
export interface Invite {
  url: string;
  expiresAt: number;
}

/** Added without a key, or there already. */
export interface InvitedUser {
  user: string;
  invite: Invite;
  urls: UrlRow[];
}

export interface RevokedInvite {
  user: string;
  /** False where there was none. */
  revoked: boolean;
}

/** Whom an order granted a server to, or took it from: a user, `@` and a group, or `@all`. */
export interface ChangedGrant {
  to: string;
  server: string;
  /** False where it was so before. */
  changed: boolean;
  /** All users may use the server, and it takes no grant. */
  open: boolean;
}

export interface ChangedMember {
  group: string;
  user: string;
  /** False where it was so before. */
  changed: boolean;
}

export interface ChangedGroup extends Group {
  /** True where the order made it. */
  made: boolean;
}

/** What a user may use beside what is open to all: `by` says what it was granted to. */
export interface UserAccess {
  user: string;
  groups: string[];
  granted: Granted[];
}

export type { SetToken } from "../operations/apply-tokens.ts";

/** What an apply changed, or would change. */
export interface AppliedRow {
  dryRun: boolean;
  changes: Change[];
  /** Servers that the file grants though they are open to all. */
  open: string[];
  /** Users whose access key of those that came along is good now; absent where none came. */
  keys?: string[];
  /** As `keys`, of the codes of invites. */
  invites?: ({ user: string } & Invite)[];
  /** Whose token was stored of those that came along; absent where none came. */
  tokens?: SetToken[];
}

export interface ShownUser extends UserRow {
  groups: string[];
  keys: KeyRow[];
  identities: IdentityRow[];
  tokens: TokenRow[];
  urls: UrlRow[];
  transports: Urls["transports"];
  instances: StatusRow[];
  /** What the children keep between starts; `bytes` as they lie on the disk, of all variants together. */
  homes: { server: string; bytes: number }[];
  /** Where it was asked for. */
  doctor?: Diagnosis;
}

export type { RemovedUser } from "../operations/removal.ts";

export interface Status {
  version: string;
  pid: number;
  uptimeSeconds: number;
  isolation: string;
  /** Starts of children. */
  queue: { starting: number; waiting: number };
  /** How many there are, in whatever state. */
  users: number;
  /** Of the children in `instances`, and what all children may have together. */
  memory: { usedBytes: number; limitBytes: number };
  instances: StatusRow[];
}

export interface LogRow extends LogLine {
  user: string;
  server: string;
  variant: string;
}

export type { EndedSession, ListedSession } from "../sessions/session-list.ts";

export type { KeyringStatus } from "../vault/keyring.ts";

/** The key that is sealed with from now on. */
export interface RotatedKeyring {
  id: number;
}

export interface DroppedKey {
  id: number;
}

export type { RotatedAuthority } from "../operations/rotate-authority.ts";

export type { Reloaded } from "../operations/reload.ts";

export type AuditEntry = AuditRow;

/** The oldest first. */
export interface AuditLog {
  entries: AuditEntry[];
}

/** A request of the gateway, as far as it is remembered. */
export interface ToldRequest {
  requestId: string;
  at: number;
  request: string;
  status: number;
  durationMs: number;
  remoteAddress: string;
  userAgent: string;
  /** Whose access key it was; null where none was valid. */
  user: string | null;
  server: string | null;
  tool: string | null;
  keyLabel: string | null;
  generation: number | null;
  code: string | null;
  message: string | null;
  details: readonly string[];
}

/** Why a user is failing. */
export interface Diagnosis {
  user: string;
  ok: boolean;
  /** Null where nothing is wrong, like `cause` and `next`. */
  code: string | null;
  cause: string | null;
  next: string | null;
  /** What is no cause of a failure yet. */
  warnings: string[];
  state: User["state"];
  instances: (InstanceStatus & {
    troubles: readonly InstanceFailure[];
    lines: string[];
    /** Of the last good start of this server, for whomever. */
    lastStartMs: number | null;
  })[];
  keys: KeyRow[];
  tokens: TokenRow[];
  /** The newest first, like `troubles`. */
  refused: ToldRequest[];
  lastGood: ToldRequest | null;
}

/** Something that stands around children elsewhere and not on this machine, and what to do about it. */
export interface Gap {
  found: string;
  next: string;
}

/** What only the running daemon knows of the machine. */
export interface MachineReport {
  version: string;
  pid: number;
  /** The weakest level in force by the config's own "isolation". */
  isolation: string;
  /** What each child server gets. */
  levels: ServerLevel[];
  /** What children lack of what stands around them elsewhere. */
  gaps: Gap[];
  /** Where the vault's key came from; `mode` is null where the file is gone since. */
  key: { file: string; isCredential: boolean; mode: number | null };
  /** What is known of the cluster's network policies; null where no server runs in pods. */
  policies: Enforcement | "assumed" | null;
  /** Servers whose children listen beyond loopback. */
  exposed: string[];
  /** Limits of the config that nothing keeps here. */
  unkept: Unkept[];
  /** What of cgroups was delegated to the daemon, for the limits of its children. */
  controllers: string[];
  /** How many files the daemon may have open, null where that is not known. */
  openFiles: number | null;
  /** Failures of the daemon's own since it started, by what each ended in its place. */
  contained: { owner: OwnerKind; count: number }[];
  /** Whose child fails or is at a limit; `doctor NAME` says more. */
  troubled: { user: string; server: string; reason: string }[];
  /** Providers that refuse the daemon as a client, so that no token of theirs is fetched. */
  refusing: { provider: string; reason: string }[];
  /** Why clients' sessions would not outlive the daemon now; null where they would. */
  unsavedSessions: string | null;
}

/** What became of one request. */
export interface RequestStory {
  requestId: string;
  /** Null where the daemon was started anew since, or many came after it. */
  request: ToldRequest | null;
  entries: AuditEntry[];
}

/** What `start`, `stop` and `restart` were about, as it is afterwards. */
export interface ActedOn {
  user: string;
  instances: StatusRow[];
}

/** A tool as its server shows it, and the servers that have it. */
export interface ListedTool {
  name: string;
  description?: string;
  servers: string[];
  [key: string]: unknown;
}

export interface ListedTools {
  tools: ListedTool[];
  /** Servers that could not be asked. */
  errors: { server: string; message: string }[];
}

/** What a tool said: the CallToolResult of MCP. */
export interface CalledTool {
  result: {
    content?: { type: string; [key: string]: unknown }[];
    structuredContent?: object;
    isError?: boolean;
  };
  server: string;
}
