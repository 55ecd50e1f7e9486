import type { TestContext } from "node:test";

/**
 * Until the test ends `performance.now()` is what `now` says. A mock would keep a record of each call,
 * and a clock is asked some hundred thousand times.
 */
export function useOwnClock(t: TestContext, now: () => number): void {
  const real = performance.now.bind(performance);
  performance.now = now;
  t.after(() => {
    performance.now = real;
  });
}
