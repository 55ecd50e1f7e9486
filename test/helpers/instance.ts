import { newUsage } from "../../src/instances/usage.ts";
import type { Ended, Instance, Live } from "../../src/instances/supervisor.ts";

export interface TestInstance {
  instance: Instance;
  /** How many starts were asked for so far; calls that share one count once. */
  starts(): number;
  /** The start under way, and every later one, succeeds with a server at this URL. */
  start(url: URL): void;
  /** The start under way fails. */
  refuse(error: Error): void;
  /** The present generation is on its way out, and lives. */
  drain(): void;
  /** Ends the present generation, as a stop or a crash does. */
  end(reason: string): void;
}

/** An instance without a process, for tests in which one is beside the point. */
export function testInstance(user = "alice", server = "one"): TestInstance {
  const ref = { user, server, variant: "" };
  const usage = newUsage();
  let [generation, starts] = [0, 0];
  let url: URL | undefined;
  let live: Live | undefined;
  let finish: ((ended: Ended) => void) | undefined;
  let over: { isDraining: boolean; ended?: Ended } = { isDraining: false };
  let pending: { promise: Promise<Live>; settle: (outcome: Live | Error) => void } | undefined;

  const become = (at: URL): Live => {
    generation += 1;
    const exited = new Promise<Ended>((resolve) => (finish = resolve));
    const state: typeof over = { isDraining: false };
    over = state;
    const transport = at.pathname.endsWith("/sse") ? "sse" : "http";
    live = {
      ref,
      generation,
      target: { transport, url: at, headers: {}, isRemote: false, socketPath: null },
      pid: 1,
      exited,
      ending: () => (state.isDraining ? exited : Promise.resolve(state.ended)),
    };
    return live;
  };
  const ensure = (): Promise<Live> => {
    if (live !== undefined) return Promise.resolve(live);
    if (pending === undefined) {
      starts += 1;
      let settle!: (outcome: Live | Error) => void;
      const promise = new Promise<Live>((resolve, reject) => {
        settle = (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome));
      });
      pending = { promise, settle };
      if (url !== undefined) decide(become(url));
      return promise;
    }
    return pending.promise;
  };
  const decide = (outcome: Live | Error): void => {
    pending?.settle(outcome);
    pending = undefined;
  };
  const instance = {
    ref,
    usage,
    ensure,
    get live() {
      return live;
    },
  };
  return {
    instance: instance as unknown as Instance,
    starts: () => starts,
    start(at) {
      url = at;
      if (pending !== undefined) decide(become(at));
    },
    refuse: decide,
    drain() {
      over.isDraining = true;
      live = undefined;
    },
    end(reason) {
      live = undefined;
      over.ended = { reason, exit: null };
      finish?.(over.ended);
    },
  };
}
