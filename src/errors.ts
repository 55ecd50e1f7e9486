/** Room: errors. The catalogue: every failure the product names, with its HTTP status, exit code and exposure; and what all sentences of ours are written with. */
import { getSystemErrorName } from "node:util";

/**
 * `status` is the HTTP status of a refusal, `exit` the exit code of the CLI, `expose` whether the
 * message may be shown to a client of the gateway (a code that is not exposed reads INTERNAL there).
 * `blames` says whose failure it is: the request's own (so that another request may do better), or
 * that of the server behind the gateway or of the machine, which no client can help.
 */
interface Entry {
  readonly status: number;
  readonly exit: 1 | 2 | 69 | 78;
  readonly expose: boolean;
  readonly blames: "request" | "server";
}

const entry = (status: number, expose = true, exit: Entry["exit"] = 1): Entry => ({
  status,
  exit,
  expose,
  blames: "request",
});

const serverEntry = (status: number, expose = true): Entry => ({
  ...entry(status, expose),
  blames: "server",
});

export const ERROR_CODES = {
  // Config: systemd does not restart on 78, because a restart cannot mend a file.
  CONFIG_UNREADABLE: entry(500, false, 78),
  CONFIG_INVALID: entry(400, false, 78),
  SCHEMA_TOO_NEW: entry(500, false, 78),
  KEY_FILE_REFUSED: entry(500, false, 78),
  ISOLATION_UNAVAILABLE: entry(500, false, 78),
  ALREADY_RUNNING: entry(500, false),
  LISTEN_FAILED: entry(500, false),
  SERVICE_REFUSED: entry(500, false),
  INSTALL_FAILED: entry(500, false),
  INIT_REFUSED: entry(500, false),
  CLIENT_FILE_REFUSED: entry(500, false),
  BACKUP_REFUSED: entry(500, false),
  RESTORE_REFUSED: entry(500, false),
  SHIM_MISSING: entry(500, false),

  // Caller.
  USAGE: entry(400, true, 2),
  REQUEST_INVALID: entry(400),
  CONNECT_INVALID: entry(400),
  KEY_MISSING: entry(401),
  KEY_INVALID: entry(401),
  USER_MISMATCH: entry(403),
  SOCKET_ONLY: entry(403),
  HOST_REFUSED: entry(403),
  ORIGIN_REFUSED: entry(403),
  NOT_FOUND: entry(404),
  USER_NOT_FOUND: entry(404),
  GROUP_NOT_FOUND: entry(404),
  SERVER_NOT_FOUND: entry(404),
  KEY_NOT_FOUND: entry(404),
  TOKEN_NOT_FOUND: entry(404),
  INVITE_INVALID: entry(404),
  SESSION_NOT_FOUND: entry(404),
  INSTANCE_NOT_FOUND: entry(404),
  TOOL_NOT_FOUND: entry(404),
  METHOD_NOT_ALLOWED: entry(405),
  NOT_ACCEPTABLE: entry(406),
  REQUEST_TIMEOUT: entry(408),
  USER_EXISTS: entry(409),
  SERVER_EXISTS: entry(409),
  SERVER_FIXED: entry(409),
  USER_DISABLED: entry(409),
  KEY_IN_USE: entry(409),
  TOKEN_OF_PROVIDER: entry(409),
  PANEL_OFF: entry(409),
  BODY_TOO_LARGE: entry(413),
  TYPE_UNSUPPORTED: entry(415),
  EXPECTATION_FAILED: entry(417),
  TOO_MANY_STREAMS: entry(429),
  TOO_MANY_CHILDREN: serverEntry(429),
  TOO_MANY_FAILURES: entry(429),

  // Child.
  INSTANCE_SPAWN_FAILED: serverEntry(502),
  INSTANCE_EXITED: serverEntry(502),
  INSTANCE_START_TIMEOUT: serverEntry(504),
  INSTANCE_BACKING_OFF: serverEntry(503),
  INSTANCE_LIMIT: serverEntry(503),
  // Its pod waits for a node or an image, and goes on waiting.
  INSTANCE_PENDING: serverEntry(503),
  TOKEN_MISSING: serverEntry(503),
  TOKEN_EXPIRED: serverEntry(503),
  SESSION_LOST: serverEntry(404),
  STOPPING: serverEntry(503),

  // Upstream: the child or remote answered in a way that cannot be passed on.
  UPSTREAM_REFUSED: serverEntry(502),
  UPSTREAM_RESET: serverEntry(502),
  UPSTREAM_INVALID: serverEntry(502),
  UPSTREAM_TIMEOUT: serverEntry(504),
  SERVER_UNAVAILABLE: serverEntry(503),
  TOOL_FAILED: serverEntry(500),
  ANSWER_TOO_LARGE: serverEntry(502),
  PROVIDER_REFUSED: serverEntry(502),
  CLIENT_TOO_SLOW: entry(503),

  // Ours.
  // What the machine has run out of, whoever used it up. It may be there again in a moment.
  RESOURCES_EXHAUSTED: serverEntry(503),
  DISK_FULL: serverEntry(507),
  DAEMON_UNREACHABLE: entry(503, true, 69),
  STORE_FAILED: serverEntry(500, false),
  INTERNAL: serverEntry(500, false),
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorOptions {
  cause?: unknown;
  /** For the admin only: output of the child, the list of config problems. Never sent to a client of the gateway. */
  details?: readonly string[];
  /** Whole seconds after which the same request may succeed. */
  retryAfterSeconds?: number;
  /** What a program may go by, beside the code: stands in the `data` of a JSON-RPC error. */
  data?: Readonly<Record<string, unknown>>;
}

/** A failure with a known cause. The message says who and what happened, holds no secret, and needs no stack. */
export class SupervisorError extends Error {
  readonly code: ErrorCode;
  readonly details: readonly string[];
  readonly retryAfterSeconds: number | undefined;
  readonly data: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "SupervisorError";
    this.code = code;
    this.details = options.details ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.data = options.data;
  }

  /** The same failure, with this beside what its data says. */
  withData(data: Readonly<Record<string, unknown>>): SupervisorError {
    const { cause, details, retryAfterSeconds } = this;
    const kept = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
    const all = { ...this.data, ...data };
    return new SupervisorError(this.code, this.message, { cause, details, ...kept, data: all });
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  get exit(): number {
    return ERROR_CODES[this.code].exit;
  }
}

/** The failure itself when it is one of ours, else INTERNAL with the unknown one as its cause. */
export function toSupervisorError(error: unknown): SupervisorError {
  if (error instanceof SupervisorError) return error;
  return new SupervisorError("INTERNAL", "an unexpected failure", { cause: error });
}

const SHORTAGES: Record<string, readonly ["RESOURCES_EXHAUSTED" | "DISK_FULL", string]> = {
  EAGAIN: ["RESOURCES_EXHAUSTED", "the system allows no more processes"],
  ENOMEM: ["RESOURCES_EXHAUSTED", "there is not enough memory"],
  EMFILE: ["RESOURCES_EXHAUSTED", "the daemon has no file descriptor left"],
  ENFILE: ["RESOURCES_EXHAUSTED", "the system has no file descriptor left"],
  ENOSPC: ["DISK_FULL", "the disk is full"],
  EDQUOT: ["DISK_FULL", "the disk quota is used up"],
};
/** When to try again: a shortage of the machine goes as it came. */
const SHORTAGE_RETRY_SECONDS = 2;

/**
 * RESOURCES_EXHAUSTED or DISK_FULL for a failure of the system that means that something has run
 * out, undefined for any other. `what` is what could not be done.
 */
export function shortageOf(cause: unknown, what: string): SupervisorError | undefined {
  const [code, why] = SHORTAGES[systemCodeOf(cause)] ?? [];
  if (code === undefined) return undefined;
  return new SupervisorError(code, `${what}: ${why}`, {
    cause,
    retryAfterSeconds: SHORTAGE_RETRY_SECONDS,
  });
}

/** Whether the system said that this account may not; another one might. */
export function isClosed(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === "EACCES" || code === "EPERM";
}

/** `EMFILE` and the like; some of Node's own failures have the number alone. */
function systemCodeOf(cause: unknown): string {
  const { code, errno } = (cause ?? {}) as NodeJS.ErrnoException;
  return code === "ERR_SYSTEM_ERROR" && errno ? getSystemErrorName(-Math.abs(errno)) : String(code);
}

/** `1 session`, `2 sessions`; `many` is for what takes more than an s. */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/** JSON escapes the first of the controls only; these others steer a terminal, or turn the text on it round. */
const STEERING = /[\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/** The same JSON, in which nothing stands as itself that a terminal obeys and does not show. */
export const inertJson = (json: string): string =>
  json.replace(STEERING, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
