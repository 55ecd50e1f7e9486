import type { ServerDef } from "../config/config.ts";
import { hasPlaceholder } from "../config/template.ts";
import { SupervisorError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import type { GrantRow } from "../store/store.ts";
import type { Connects } from "./connects.ts";
import type { Refresher } from "./refresher.ts";

/** Whom to ask why there is no token, and where the user can do something about it. */
interface Askable {
  readonly connects: Pick<Connects, "pageFor">;
  readonly refresher: Pick<Refresher, "blockOf">;
}

/** Nothing can be sent to the server without a token, and each user has one of a provider. */
export function needsToken(def: ServerDef | undefined): boolean {
  if (def?.kind !== "remote" || def.tokensFrom?.grant !== "user") return false;
  return Object.values(def.headers).some((value) => hasPlaceholder(value, "token"));
}

/** For a user who has connected no account: TOKEN_MISSING. */
export const tokenMissing = (of: Askable, user: string, server: string): SupervisorError =>
  withPage(of, { user, server }, "TOKEN_MISSING", "no account is connected");

/** For a user whose token has expired, and who gets no other: TOKEN_EXPIRED. */
export function tokenExpired(of: Askable, row: GrantRow): SupervisorError {
  const { user, server, provider, reason, state, outcome } = row;
  if (state === "needs_reauth") {
    const why = `the token has expired, and ${provider} no longer refreshes it (${reason ?? "refused"})`;
    return withPage(of, row, "TOKEN_EXPIRED", why);
  }
  // To connect anew would not help: it is the provider that does not answer.
  const why = of.refresher.blockOf(provider) ?? outcome ?? "no answer";
  return new SupervisorError(
    "TOKEN_EXPIRED",
    `${user}/${server}: the token has expired, and ${provider} gives no new one at the moment (${why})`,
  );
}

/** A refusal that the user can do something about, with where. */
function withPage(
  { connects }: Askable,
  { user, server }: Pick<GrantRow, "user" | "server">,
  code: ErrorCode,
  why: string,
): SupervisorError {
  const connectUrl = connects.pageFor(user, server);
  const [where, data] =
    connectUrl === undefined ? ["", {}] : [`; connect it at ${connectUrl}`, { connectUrl }];
  return new SupervisorError(code, `${user}/${server}: ${why}${where}`, { data });
}
