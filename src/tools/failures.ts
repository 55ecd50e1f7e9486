import { ERROR_CODES, SupervisorError } from "../errors.ts";
import type { Text } from "../mcp/long-text.ts";
import { LongText } from "../mcp/long-text.ts";
import { locate, valueAt } from "../mcp/json-span.ts";

/** JSON-RPC: the arguments are not what the tool takes. */
const INVALID_PARAMS = -32_602;
const RETRY_AFTER_SECONDS = 5;
/** Of what a server says went wrong. */
const MAX_MESSAGE = 4 * 1024;

/** Nothing of the call has gone out: another server may have it. */
export class NotBegun extends Error {
  readonly failure: SupervisorError;

  constructor(failure: SupervisorError) {
    super(failure.message);
    this.failure = failure;
  }
}

/** Whether a failed call was certainly not read by its server. */
export const isUnsent = ({ code, data }: SupervisorError): boolean =>
  code === "UPSTREAM_REFUSED" || data?.["mayHaveHappened"] === false;

/** What a caller is told of a server that cannot be had now: 503, and when to try again. What is the caller's own stays as it is. */
export function unavailable(failure: SupervisorError): SupervisorError {
  const { status, message, details, retryAfterSeconds = RETRY_AFTER_SECONDS } = failure;
  const code = status === 503 ? failure.code : "SERVER_UNAVAILABLE";
  if (!isServers(failure)) return failure;
  return new SupervisorError(code, message, { cause: failure, details, retryAfterSeconds });
}

/** What a caller is told of a call that broke off: no 503, upon which programs try again. */
export function brokenOff(failure: SupervisorError): SupervisorError {
  if (!isServers(failure) || failure.code === "TOOL_FAILED") return failure;
  const what = `${failure.message}; the tool may have run`;
  return new SupervisorError("TOOL_FAILED", what, { cause: failure, details: failure.details });
}

/** Whose failure it is cannot be helped by another request, and is none of the gateway's own. */
const isServers = ({ code }: SupervisorError): boolean =>
  ERROR_CODES[code].blames === "server" && code !== "INTERNAL" && code !== "STORE_FAILED";

/** What a server answered in the place of a result. */
export function failureIn(answer: Text, server: string): SupervisorError {
  const span = answer instanceof LongText ? undefined : locate(answer, ["error"]);
  const error = span && (valueAt(answer, span) as { code?: unknown; message?: unknown } | null);
  if (typeof error?.message !== "string")
    return new SupervisorError("TOOL_FAILED", `${server} answered with neither result nor error`);
  const message = error.message.slice(0, MAX_MESSAGE);
  const code = error.code === INVALID_PARAMS ? "REQUEST_INVALID" : "TOOL_FAILED";
  return new SupervisorError(code, message);
}
