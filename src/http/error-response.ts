/** Room: http. What every listener shares: who may knock (Host, Origin), how long, how much, and how a refusal looks. Knows no route and no user. */
import { ERROR_CODES, toSupervisorError } from "../errors.ts";
import type { SupervisorError } from "../errors.ts";
import type { HttpResponse } from "./exchange.ts";
import { errorText } from "../mcp/messages.ts";

export interface ErrorBody {
  error: {
    code: number;
    type: string;
    message: string;
    requestId: string;
    details?: readonly string[];
  };
}

/** Who reads the answer: a client of the gateway never sees details nor what an internal failure was. */
export type Audience = "client" | "admin";

function shown(error: SupervisorError, audience: Audience): { type: string; message: string } {
  if (audience === "admin" || ERROR_CODES[error.code].expose)
    return { type: error.code, message: error.message };
  return {
    type: "INTERNAL",
    message: "something failed here; the request id leads to it in the log",
  };
}

/** The body of every refusal that is not JSON-RPC; `error.code` is the HTTP status. */
export function errorBody(
  error: SupervisorError,
  requestId: string,
  audience: Audience,
): ErrorBody {
  const body: ErrorBody = { error: { code: error.status, ...shown(error, audience), requestId } };
  if (audience === "admin" && error.details.length > 0) body.error.details = error.details;
  return body;
}

interface RpcErrorParts {
  /** In place of the HTTP status. */
  code?: number | undefined;
  /** What stands in the error's data, beside type and request id. */
  data?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * The JSON-RPC error that `POST /mcp` answers with. The code is the HTTP status, because the range
 * from -32020 to -32099 is reserved by MCP 2026-07-28; clients show the message to their users.
 * `id` is the raw JSON text of the request's id, `"null"` where it is not known.
 */
export function rpcErrorText(
  error: SupervisorError,
  requestId: string,
  id: string,
  { code = error.status, data = {} }: RpcErrorParts = {},
): string {
  const { type, message } = shown(error, "client");
  return errorText(id, { code, message, data: { type, requestId, ...error.data, ...data } });
}

/** Headers that belong to a refusal whatever the body looks like. */
export function errorHeaders(error: SupervisorError): Record<string, string> {
  const headers: Record<string, string> = {};
  if (error.status === 401) {
    // No resource_metadata: it would send clients into an OAuth flow that is not there (RFC 9728).
    headers["www-authenticate"] =
      error.code === "KEY_MISSING" ? "Bearer" : 'Bearer error="invalid_token"';
  }
  // The rest of a body that came too late would be taken for the next request.
  if (error.code === "REQUEST_TIMEOUT") headers["connection"] = "close";
  if (error.retryAfterSeconds !== undefined)
    headers["retry-after"] = String(error.retryAfterSeconds);
  return headers;
}

/** Answers with JSON text (or the bytes of one), or ends the connection where an answer has already begun. */
export function sendText(
  res: HttpResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  text: string | Buffer,
): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  res.writeHead(status, {
    "content-type": "application/json",
    "content-length": bytes.length,
    "cache-control": "no-store",
    ...headers,
  });
  // As a string the body leaves in one system call with the head; latin1 keeps every byte.
  res.end(bytes.toString("latin1"), "latin1");
}

/** Answers with the error body; what is not one of our errors becomes INTERNAL. */
export function sendError(
  res: HttpResponse,
  failure: unknown,
  requestId: string,
  audience: Audience,
): void {
  const error = toSupervisorError(failure);
  sendText(
    res,
    error.status,
    errorHeaders(error),
    JSON.stringify(errorBody(error, requestId, audience)),
  );
}
