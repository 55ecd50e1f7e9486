import type { ServerDef } from "../config/config.ts";
import { OutputShare } from "../platform/output-share.ts";
import type {
  EndedLeft,
  Endpoint,
  Engine,
  Exit,
  Left,
  Running,
  StartOptions,
  Workload,
} from "./engine.ts";

/** Where nothing is started: what there is to speak to is there already, and nothing of it ends but the word of it. */
export abstract class EngineWithoutProcesses<Def extends ServerDef> implements Engine<Def> {
  readonly level = "none";
  readonly capacity = { starts: Infinity };

  /** What it is started as. Throws TOKEN_MISSING where it needs one and there is none. */
  protected abstract run(workload: Workload<Def>): Running;

  // oxlint-disable-next-line require-await -- what is wrong with the workload rejects
  async start(workload: Workload<Def>, { signal }: StartOptions): Promise<Running> {
    signal.throwIfAborted();
    return this.run(workload);
  }

  /** What stands around it, if anything does, is not ours. */
  levelOf(): null {
    return null;
  }

  forgetUser(): void {}

  findLeft(): Promise<Left[]> {
    return Promise.resolve([]);
  }

  endLeft(): Promise<EndedLeft> {
    return Promise.resolve({ count: 0, left: [] });
  }

  killAll(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** What there is to speak to at that endpoint, until somebody stops it. */
export function runningAt(
  endpoint: Endpoint,
  replaceToken: (token: string | undefined) => void,
): Running {
  let end!: (exit: Exit) => void;
  let isSpent = false;
  const exited = new Promise<Exit>((resolve) => (end = resolve));
  const stop = (): Promise<Exit> => {
    isSpent = true;
    end({ code: null, signal: null, at: Date.now(), limit: null });
    return exited;
  };
  return {
    endpoint,
    pid: null,
    place: null,
    replaceToken,
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
