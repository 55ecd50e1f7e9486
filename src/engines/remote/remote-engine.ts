import type { Servers } from "../../catalog/catalog.ts";
import { fillTemplate, hasPlaceholder } from "../../config/template.ts";
import { SupervisorError } from "../../errors.ts";
import type { RemoteServer, ServerDef } from "../../config/config.ts";
import type { Running, Workload } from "../engine.ts";
import { EngineWithoutProcesses, runningAt } from "../without-processes.ts";

/** Servers that run elsewhere already: there is nothing to start, and nothing to end but the word of it. */
export class RemoteEngine extends EngineWithoutProcesses<RemoteServer> {
  readonly #servers: Pick<Servers, "find">;

  /** `servers` are those of now: a request that begins after a change of headers carries the new ones. */
  constructor(servers: Pick<Servers, "find"> = { find: () => undefined }) {
    super();
    this.#servers = servers;
  }

  protected run(workload: Workload<RemoteServer>): Running {
    const { ref, def } = workload;
    let { token } = workload;
    let made = { def, headers: headersFor(workload) };
    const find = (): ServerDef | undefined => this.#servers.find(ref.server);
    const endpoint = {
      kind: "url",
      url: new URL(fillTemplate(def.url, { user: ref.user })),
      get headers() {
        const now = find();
        if (now !== made.def && now?.kind === "remote" && mayHave(now, def, token))
          made = { def: now, headers: headersFor({ ref, def: now, token }) };
        return made.headers;
      },
    } as const;
    return runningAt(endpoint, (next) => {
      made = { def: made.def, headers: headersFor({ ref, def: made.def, token: next }) };
      token = next;
    });
  }
}

/** Whether the headers of `now` can go to where `then` leads: not to another place, nor without the token that they need. */
const mayHave = (now: RemoteServer, then: RemoteServer, token: string | undefined): boolean =>
  now.url === then.url &&
  (token !== undefined ||
    !Object.values(now.headers).some((value) => hasPlaceholder(value, "token")));

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
