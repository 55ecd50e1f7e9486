import type {
  AuditEntry,
  LogRow,
  MachineReport,
  Status,
  StatusRow,
} from "../../../src/api/types.ts";
import type { ListedUser } from "../../../src/api/types.ts";

export const NOW = Date.UTC(2026, 10, 30, 12, 0, 0);
const MINUTE = 60_000;
const DAY = 86_400_000;

const FIRST = ["alice", "bob", "chen", "dora", "emil", "fatima", "george", "hana", "ivan", "jo"];
const nameOf = (at: number): string => `${FIRST[at % FIRST.length]}-${Math.floor(at / 10)}`;
const people = Array.from({ length: 300 }, (_, at) => at);

const REASONS = [
  "exited with code 3 before it was ready: cannot start: the mailbox is missing, and nobody has said where else to look for it",
  "was killed: over 512M of memory",
];

const VARIANTS = ["", "modern", "session 0011223344556677", '{"roots":{},"sampling":{}}'];

function rowOf(at: number): StatusRow {
  const failing = at % 50 === 7;
  const isRunning = !failing && at % 4 === 0;
  return {
    user: nameOf(at),
    server: at % 3 === 0 ? "gmail" : "everything",
    variant: VARIANTS[at % 16 === 0 ? (at / 16) % 4 : 0]!,
    state: failing ? (at % 100 === 7 ? "parked" : "backing-off") : isRunning ? "ready" : "stopped",
    since: NOW - at * 7 * MINUTE,
    reason: failing ? REASONS[at % 100 === 7 ? 0 : 1]! : null,
    retryAt: failing ? NOW + MINUTE : null,
    pid: isRunning ? 4_000 + at * 37 : null,
    place: null,
    port: isRunning ? 10_000 + at : null,
    generation: 1 + (at % 5),
    restarts: at % 5,
    failures: failing ? 3 : 0,
    sessions: isRunning ? at % 3 : 0,
    inFlight: isRunning && at % 8 === 0 ? 1 : 0,
    idleSeconds: isRunning ? at * 11 : null,
    isolation: "sandbox",
    rssBytes: isRunning ? (30 + ((at * 17) % 400) + (at === 288 ? 1500 : 0)) * 2 ** 20 : null,
    failing,
  };
}

const instances = people.map(rowOf);

export const STATUS: Status = {
  version: "0.1.0",
  pid: 812,
  uptimeSeconds: 9 * 86_400,
  isolation: "sandbox",
  queue: { starting: 2, waiting: 5 },
  users: 300,
  memory: {
    usedBytes: instances.reduce((sum, { rssBytes }) => sum + (rssBytes ?? 0), 0),
    limitBytes: 32 * 2 ** 30,
  },
  instances,
};

export const USERS: ListedUser[] = people.map((at) => ({
  user: nameOf(at),
  state: at % 41 === 5 ? "disabled" : "enabled",
  createdAt: NOW - (300 - at) * DAY,
  name: at % 7 === 0 ? "王明" : at % 3 === 0 ? null : `${nameOf(at)} of the Department`,
  email: at % 3 === 0 ? null : `${nameOf(at)}@example.com`,
  lastSeenAt: at % 11 === 3 ? null : NOW - at * 13 * MINUTE,
  keys: at % 20 === 1 ? 0 : 1,
  keyExpiresAt: at % 4 === 0 ? NOW + (at - 20) * DAY : null,
  tokens: at % 9 === 2 ? 0 : 1,
  tokenExpiresAt: at % 6 === 0 ? NOW + (at - 6) * DAY : null,
  servers: at % 2 === 0 ? ["everything", "gmail"] : at % 5 === 0 ? [] : ["gmail"],
}));

export const AUDIT: AuditEntry[] = people.map((at) => ({
  at: NOW - (300 - at) * 41_000,
  kind: at % 10 === 4 ? "admin" : at % 10 === 6 ? "refusal" : "call",
  user: at % 10 === 6 ? null : nameOf(at),
  server: at % 10 === 4 || at % 10 === 6 ? null : "gmail",
  requestId: `1f2e3d4c-${at.toString(36).padStart(7, "0")}`,
  who: at % 10 === 6 ? null : at % 10 === 4 ? "uid 0" : "laptop",
  what: at % 10 === 4 ? "token set" : at % 10 === 6 ? "POST /u/alice/mcp" : "search_messages",
  outcome: at % 10 === 6 ? "KEY_INVALID" : at % 13 === 0 ? "tool-error" : "ok",
  reason:
    at % 10 === 6
      ? "the access key mcps_9Xk… (laptop) of alice was revoked at 2026-11-20T10:00:00.000Z, and whoever uses it has to ask for another"
      : null,
  durationMs: at % 17 === 0 ? 61_000 + at : at * 3.7,
  bytesIn: 120,
  bytesOut: 2_000,
}));

export const LOGS: LogRow[] = people.slice(0, 40).map((at) => ({
  user: "alice-0",
  server: at % 2 === 0 ? "gmail" : "everything",
  variant: at % 9 === 1 ? "modern" : "",
  generation: 1,
  at: NOW - (40 - at) * 1_300,
  stream: at % 3 === 0 ? "stderr" : "stdout",
  text: at % 8 === 5 ? `fetched ${"a long line of a server ".repeat(6)}` : `line ${at}\u001b[31m`,
}));

export const MACHINE: MachineReport = {
  version: "0.1.0",
  pid: 812,
  isolation: "sandbox",
  levels: [],
  gaps: [],
  key: { file: "/etc/mcp-supervisor/vault.key", isCredential: false, mode: 0o400 },
  exposed: ["gmail"],
  policies: null,
  unkept: [],
  controllers: ["memory", "pids", "cpu"],
  openFiles: 524_288,
  contained: [],
  refusing: [],
  unsavedSessions: null,
  troubled: instances
    .filter(({ failing }) => failing)
    .map(({ user, server, reason }) => ({ user, server, reason: reason ?? "failed" })),
};
