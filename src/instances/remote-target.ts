import { fillTemplate, hasPlaceholder } from "../config/template.ts";
import { SupervisorError } from "../errors.ts";
import type { RemoteServer } from "../config/config.ts";
import type { Ref } from "./instance-types.ts";
import type { Target } from "../links/target.ts";

/** Where a remote server is for this user. Throws TOKEN_MISSING when it needs a token and there is none. */
export function remoteTarget(ref: Ref, def: RemoteServer, token: string | undefined): Target {
  const { user, server } = ref;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(def.headers)) {
    if (token === undefined && hasPlaceholder(value, "token"))
      throw new SupervisorError("TOKEN_MISSING", `${user}/${server}: no token is set`);
    headers[name] = fillTemplate(value, { user, token });
  }
  const url = new URL(fillTemplate(def.url, { user }));
  return { transport: def.transport, url, headers, isRemote: true, socketPath: null };
}
