import { SupervisorError } from "../errors.ts";
import { keyInvalid } from "../auth/key-invalid.ts";
import type { Principal, Registry } from "../auth/registry.ts";
import type { RequestHead } from "../http/exchange.ts";
import { perHead } from "../http/per-head.ts";
import { queryOf, valuesOf } from "./routes.ts";

/** What became of the key that was refused, for the admin; undefined where nothing is known of it. */
export function explainRefusal(
  req: RequestHead,
  registry: Pick<Registry, "endOf">,
): { user: string; why: string } | undefined {
  const secrets = new Set(secretsIn(req));
  return secrets.size === 1 ? registry.endOf([...secrets][0]!) : undefined;
}

/** Every secret that the request carries; a malformed one counts as an empty one. */
export function secretsIn(req: RequestHead): string[] {
  const secrets: string[] = [];
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    // From the raw list: of two Authorization headers Node shows the first and hides the second.
    if (req.rawHeaders[i]!.length !== 13 || req.rawHeaders[i]!.toLowerCase() !== "authorization")
      continue;
    secrets.push(/^bearer +([^\s,]+)$/i.exec(req.rawHeaders[i + 1]!)?.[1] ?? "");
  }
  return [...secrets, ...valuesOf(queryOf(req.url ?? ""), "token")];
}

/**
 * Who sends this request. The identity comes from the secret alone, never from the path (GHSA-wf8q-wvv8-p8jf).
 *
 * Rejects with KEY_MISSING without any secret, else KEY_INVALID with one message whatever is wrong.
 * Secrets that differ are refused: something in front may have looked at the other one. A promise
 * for a JWT that was not seen before, which takes a check.
 */
export function authenticate(
  req: RequestHead,
  registry: Pick<Registry, "verify" | "verifyJwt">,
): Principal | Promise<Principal> {
  const secret = secretOf(req);
  const principal = registry.verify(secret, req.socket) ?? registry.verifyJwt(secret, req.socket);
  if (principal === undefined) throw keyInvalid();
  return principal;
}

/** The one secret of a request; whose it is can change, and is asked each time. */
const secretOf = perHead((req) => {
  const [secret, ...others] = secretsIn(req);
  if (secret === undefined)
    throw new SupervisorError(
      "KEY_MISSING",
      "an access key is needed: Authorization: Bearer mcps_…",
    );
  if (
    others.length > 0 &&
    !(others.length === 1 && isFromHeaderAndQuery(req) && others[0] === secret)
  )
    throw keyInvalid();
  return secret;
});

/** A client may send its header to a URL that carries the same key; two of a kind are always refused. */
function isFromHeaderAndQuery(req: RequestHead): boolean {
  return valuesOf(queryOf(req.url ?? ""), "token").length === 1;
}
