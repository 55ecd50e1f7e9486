import { setImmediate as nextTurn } from "node:timers/promises";

/** Of small things: takes a few milliseconds. */
const A_TURN = 1000;

/**
 * Does the work for each of them in order, a thousand in a turn of the event loop: nobody else is to
 * wait for tens of thousands. Up to a thousand are done when this returns. `countOf` tells for how
 * many an item counts.
 */
export async function inTurns<T>(
  items: readonly T[],
  work: (item: T) => void,
  countOf: (item: T) => number = () => 1,
): Promise<void> {
  let done = 0;
  for (const item of items) {
    if (done >= A_TURN) {
      await nextTurn();
      done = 0;
    }
    done += countOf(item);
    work(item);
  }
}
