import { orderRow } from "../audit/audit.ts";
import type { Audit } from "../audit/audit.ts";
import { BY_KEY } from "../auth/principal.ts";
import type { Principal } from "../auth/registry.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { SupervisorError } from "../errors.ts";
import type { Edge } from "../http/edge.ts";
import { readBody, requireJson } from "../http/read-body.ts";
import type { SafeResponse } from "../http/safe-response.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { BodyRequest } from "../platform/body-request.ts";
import type { Tokens } from "../tokens/tokens.ts";

/** The longest token, were every byte of it escaped. */
const MAX_BODY_BYTES = 768 * 1024;
/** How long the answer waits for a child that is to have the token. */
const PATIENCE_MS = 15_000;

export interface OwnTokenParts {
  tokens: Pick<Tokens, "set">;
  catalog: Pick<Catalog, "findFor">;
  supervisor: Pick<Supervisor, "started">;
  audit: Pick<Audit, "add">;
  edge: Edge;
}

interface OwnTokenRequest {
  req: BodyRequest;
  res: SafeResponse;
  principal: Principal;
  /** For the audit. */
  who: string;
  requestId: string;
}

/**
 * `PUT /u/USER/token`: a user's own token, in force with the next call once this is answered (204).
 * Rejects as `Tokens.set`, and with TYPE_UNSUPPORTED, BODY_TOO_LARGE, REQUEST_INVALID or
 * SERVER_NOT_FOUND.
 */
export async function putOwnToken(
  { tokens, catalog, supervisor, audit, edge }: OwnTokenParts,
  { req, res, principal, who, requestId }: OwnTokenRequest,
): Promise<void> {
  const startedAt = performance.now();
  requireJson(req);
  const body = await readBody(req, MAX_BODY_BYTES, edge);
  if (body === undefined) return;
  const { token, server, expiresAt } = wantedOf(body);
  const { user } = principal;
  if (server !== null && catalog.findFor(user, server) === undefined)
    throw new SupervisorError("SERVER_NOT_FOUND", "there is no such server");
  tokens.set(user, server, token, expiresAt);
  const durationMs = performance.now() - startedAt;
  audit.add(orderRow({ what: "token set", user, server, requestId, who, durationMs }, undefined));
  await supervisor.started(server === null ? { user } : { user, server }, PATIENCE_MS);
  if (res.destroyed) return;
  res.writeHead(204, { "cache-control": "no-store" });
  res.end();
}

/** Whoever leaves a token with a secret of their own, for the audit. */
export function nameOf({ user, issuer, label }: Principal): string {
  if (issuer !== BY_KEY) return `${user}'s JWT of ${issuer}`;
  return label === null ? `${user}'s key` : `${user}'s key ${label}`;
}

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

/** What the body asks for; what is said of a flaw repeats nothing of it. */
function wantedOf(body: Buffer): {
  token: string;
  server: string | null;
  expiresAt: number | null;
} {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    throw invalid("the body is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid("the body must be a JSON object");
  const { token, server = null, expiresAt = null, ...rest } = value as Record<string, unknown>;
  if (Object.keys(rest).length > 0)
    throw invalid("the body may hold token, server and expiresAt, and no other key");
  if (typeof token !== "string") throw invalid("token must be a string");
  if (server !== null && typeof server !== "string") throw invalid("server must be a string");
  if (expiresAt !== null && !(Number.isSafeInteger(expiresAt) && (expiresAt as number) > 0))
    throw invalid("expiresAt must be epoch ms or null");
  return { token, server, expiresAt: expiresAt as number | null };
}
