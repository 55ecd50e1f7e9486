import type { ServerDef } from "../../src/config/config.ts";
import { Work } from "../../src/instances/work.ts";
import { newUsage } from "../../src/instances/usage.ts";
import type { Ended, Instance, Live } from "../../src/instances/supervisor.ts";
import type { Target } from "../../src/links/target.ts";
import { targetAt } from "./target.ts";

export interface TestInstance {
  instance: Instance;
  /** How many starts were asked for so far; calls that share one count once. */
  starts(): number;
  /** The start under way, and every later one, succeeds with a server at this URL, or with this target. */
  start(at: URL | Target): void;
  /** The start under way fails. */
  refuse(error: Error): void;
  /** The present generation is on its way out, and lives. */
  drain(): void;
  /** Ends the present generation, as a crash does, or a stop where it is not `byItself`. */
  end(reason: string, byItself?: boolean): void;
}

/** An instance without a process, for tests in which one is beside the point. */
export function testInstance(user = "alice", server = "one"): TestInstance {
  const ref = { user, server, variant: "" };
  const usage = newUsage();
  let [generation, starts] = [0, 0];
  let target: Target | undefined;
  let live: Live | undefined;
  let finish: ((ended: Ended) => void) | undefined;
  let over: { isDraining: boolean; ended?: Ended } = { isDraining: false };
  let pending: { promise: Promise<Live>; settle: (outcome: Live | Error) => void } | undefined;

  const become = (at: Target): Live => {
    generation += 1;
    const exited = new Promise<Ended>((resolve) => (finish = resolve));
    const state: typeof over = { isDraining: false };
    over = state;
    live = {
      ref,
      generation,
      target: at,
      startedAs: { def: { name: server } as ServerDef, token: "" },
      pid: 1,
      work: new Work(),
      isHandedOver: () => false,
      exited,
      isGone: () => false,
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
      if (target !== undefined) decide(become(target));
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
      target = at instanceof URL ? targetAt(at) : at;
      if (pending !== undefined) decide(become(target));
    },
    refuse: decide,
    drain() {
      over.isDraining = true;
      live = undefined;
    },
    end(reason, byItself = true) {
      live = undefined;
      over.ended = { reason, exit: null, byItself };
      finish?.(over.ended);
    },
  };
}
