import type { TestContext } from "node:test";

interface Pending {
  dueAt: number;
  fire: () => void;
}

export interface SkippableTime {
  /** `performance.now()` and `Date.now()` are so much further on, and the timeouts that this makes due have fired. */
  skip: (ms: number) => void;
  restore: () => void;
}

/** From here on time can be skipped, as if it were waited out; intervals and other processes do not notice. */
export function makeTimeSkippable(): SkippableTime {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const now = performance.now.bind(performance);
  const wallClock = Date.now;
  const pending = new Map<unknown, Pending>();
  let ahead = 0;

  performance.now = () => now() + ahead;
  Date.now = () => wallClock() + ahead;
  const later = (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    const fire = () => {
      pending.delete(timer);
      callback(...args);
    };
    const timer = set(fire, ms);
    pending.set(timer, { dueAt: performance.now() + ms, fire });
    return timer;
  };
  globalThis.setTimeout = Object.assign(later, set);
  globalThis.clearTimeout = ((timer: NodeJS.Timeout) => {
    pending.delete(timer);
    clear(timer);
  }) as typeof clear;

  return {
    skip: (ms) => {
      ahead += ms;
      const due = [...pending].filter(([, { dueAt }]) => dueAt <= performance.now());
      for (const [timer, { fire }] of due.toSorted(([, a], [, b]) => a.dueAt - b.dueAt)) {
        // One that fired before it may have cleared it.
        if (!pending.has(timer)) continue;
        clear(timer as NodeJS.Timeout);
        fire();
      }
    },
    restore: () => {
      globalThis.setTimeout = set;
      globalThis.clearTimeout = clear;
      performance.now = now;
      Date.now = wallClock;
    },
  };
}

/** Until the test ends time can be skipped, as `makeTimeSkippable` has it. */
export function skippingTime(t: TestContext): SkippableTime["skip"] {
  const { skip, restore } = makeTimeSkippable();
  t.after(restore);
  return skip;
}
