import { fillTemplate, hasPlaceholder } from "../../config/template.ts";
import { SupervisorError } from "../../errors.ts";
import type { RemoteServer } from "../../config/config.ts";
import type { Running, Workload } from "../engine.ts";
import { EngineWithoutProcesses, runningAt } from "../without-processes.ts";

/** Servers that run elsewhere already: there is nothing to start, and nothing to end but the word of it. */
export class RemoteEngine extends EngineWithoutProcesses<RemoteServer> {
  protected run(workload: Workload<RemoteServer>): Running {
    const { ref, def } = workload;
    let headers = headersFor(workload);
    const endpoint = {
      kind: "url",
      url: new URL(fillTemplate(def.url, { user: ref.user })),
      get headers() {
        return headers;
      },
    } as const;
    return runningAt(endpoint, (token) => void (headers = headersFor({ ...workload, token })));
  }
}

type Headers = Readonly<Record<string, string>>;

/** What is sent with a request, for a user who has this token. Throws TOKEN_MISSING when it needs one and there is none. */
function headersFor({ ref: { user, server }, def, token }: Workload<RemoteServer>): Headers {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(def.headers)) {
    if (token === undefined && hasPlaceholder(value, "token"))
      throw new SupervisorError("TOKEN_MISSING", `${user}/${server}: no token is set`);
    headers[name] = fillTemplate(value, { user, token });
  }
  return headers;
}
