import { SupervisorError, isClosed, toSupervisorError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import { errorBody } from "../http/error-response.ts";
import type { ErrorBody } from "../http/error-response.ts";
import { newRequestId } from "../http/request-id.ts";
import { jsonLine } from "./output.ts";
import { printable } from "./printable.ts";

/** What to do next, where the message alone leaves that open. */
const NEXT_STEP: Partial<Record<ErrorCode, string>> = {
  DAEMON_UNREACHABLE:
    "start the daemon with `mcp-supervisor serve`, or name its config with --config; where it runs as another account, use sudo or its controlGroup",
  CONFIG_UNREADABLE: "`mcp-supervisor config schema` says what belongs in the file",
  USER_NOT_FOUND: "`mcp-supervisor user list` shows who there is",
  USER_EXISTS:
    "`mcp-supervisor key issue` makes one more access key, `token set` changes the token",
  USER_DISABLED: "`mcp-supervisor user enable` lets the user in again",
  KEY_NOT_FOUND: "`mcp-supervisor key list NAME` shows the ids",
  TOKEN_NOT_FOUND: "`mcp-supervisor token show NAME` shows which there are",
  TOKEN_MISSING: "`mcp-supervisor token set NAME` stores one",
  INSTANCE_SPAWN_FAILED: "check command, args and cwd of the server in the config",
  INSTANCE_EXITED: "`mcp-supervisor logs NAME` shows the child's last output",
  INSTANCE_START_TIMEOUT: "`mcp-supervisor logs NAME` shows the child's last output",
  ALREADY_RUNNING: "`mcp-supervisor status` asks the one that runs",
};

/** For an admin who forgot sudo: nothing is wrong with file or daemon, and there is no other advice to follow. */
const CLOSED: Partial<Record<ErrorCode, string>> = {
  CONFIG_UNREADABLE:
    'use sudo; accounts that are to do without it belong into the config\'s "controlGroup", and that group must be able to read the file',
  DAEMON_UNREACHABLE:
    'use sudo; accounts that are to do without it belong into the config\'s "controlGroup"',
  INTERNAL: "use sudo, or the account of the daemon",
};

/** What to do about the failure, where its message leaves that open. */
export function nextStepOf({ code, cause }: SupervisorError): string | undefined {
  return (isClosed(cause) ? CLOSED[code] : undefined) ?? NEXT_STEP[code];
}

function isErrorBody(value: unknown): value is ErrorBody {
  return typeof value === "object" && value !== null && "error" in value;
}

/** The failure of a command as one of ours; to have no right to a file is for the admin to mend, not for us. */
export function failureOf(error: unknown): SupervisorError {
  if (!isClosed(error)) return toSupervisorError(error);
  const { path, syscall } = error as NodeJS.ErrnoException;
  return new SupervisorError("INTERNAL", `this account may not use ${path ?? syscall ?? "it"}`, {
    cause: error,
  });
}

/** Says on stderr why a command failed: the error body with `--json`, else a sentence, its details and the next step. */
export function explain(failure: SupervisorError, isJson: boolean): void {
  const answered = isErrorBody(failure.cause) ? failure.cause : undefined;
  const body = answered ?? errorBody(failure, newRequestId(), "admin");
  if (isJson) {
    process.stderr.write(jsonLine(body));
    return;
  }
  const lines = [`mcp-supervisor: ${printable(failure.message)}`];
  lines.push(...failure.details.map((detail) => `  ${printable(detail)}`));
  if (failure.code === "INTERNAL" && !isClosed(failure.cause)) {
    if (answered === undefined && failure.cause instanceof Error)
      lines.push(`  ${failure.cause.stack ?? failure.cause.message}`);
    if (answered !== undefined)
      lines.push(`  look for request ${answered.error.requestId} in the daemon's log`);
  }
  const next = nextStepOf(failure);
  if (next !== undefined) lines.push(`  ${next}`);
  process.stderr.write(`${lines.join("\n")}\n`);
}
