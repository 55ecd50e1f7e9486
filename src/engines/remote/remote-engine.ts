import { fillTemplate, hasPlaceholder } from "../../config/template.ts";
import { SupervisorError } from "../../errors.ts";
import { OutputShare } from "../../platform/output-share.ts";
import type { RemoteServer } from "../../config/config.ts";
import type { StartOptions, Workload } from "../engine.ts";
import type { EndedLeft, Engine, Exit, Left, Running } from "../engine.ts";

/** Servers that run elsewhere already: there is nothing to start, and nothing to end but the word of it. */
export class RemoteEngine implements Engine<RemoteServer> {
  readonly level = "none";
  readonly capacity = { starts: Infinity };

  /** What stands around it there is not ours to know. */
  levelOf(): null {
    return null;
  }

  forgetUser(): void {}

  // oxlint-disable-next-line require-await -- what is wrong with the workload rejects
  async start(workload: Workload<RemoteServer>, { signal }: StartOptions): Promise<Running> {
    signal.throwIfAborted();
    return startRemote(workload);
  }

  /** What runs elsewhere is nobody's to find. */
  findLeft(): Promise<Left[]> {
    return Promise.resolve([]);
  }

  endLeft(): Promise<EndedLeft> {
    return Promise.resolve({ count: 0, left: [] });
  }

  /** Theirs run on. */
  killAll(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}

type Headers = Readonly<Record<string, string>>;

function startRemote(workload: Workload<RemoteServer>): Running {
  const { ref, def } = workload;
  let headers = headersFor(workload);
  let end!: (exit: Exit) => void;
  let isSpent = false;
  const exited = new Promise<Exit>((resolve) => (end = resolve));
  const stop = (): Promise<Exit> => {
    isSpent = true;
    end({ code: null, signal: null, at: Date.now(), limit: null });
    return exited;
  };
  return {
    endpoint: {
      kind: "url",
      url: new URL(fillTemplate(def.url, { user: ref.user })),
      get headers() {
        return headers;
      },
    },
    pid: null,
    replaceToken: (token) => void (headers = headersFor({ ...workload, token })),
    output: new OutputShare(),
    exited,
    get isSpent() {
      return isSpent;
    },
    disconnected: new Promise(() => {}),
    strained: new Promise(() => {}),
    drained: exited.then(() => {}),
    stop,
    kill: stop,
    isGone: () => isSpent,
    isEnding: () => Promise.resolve(isSpent),
    listeners: () => Promise.resolve({ ours: [], foreign: [] }),
    cpuLoad: () => null,
    onBusy: () => {},
    rssBytes: () => Promise.resolve(null),
  };
}

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
