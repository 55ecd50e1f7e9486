/**
 * Turns of the event loop, which are everybody's: how long what servers write is read in each, and how
 * those get theirs that have to wait for another one.
 */
const TURN_MS = 3;
/** What is little may still be read then: whoever waits for a short answer is not to wait for a flood. */
const LITTLE_BYTES = 4096;
const LITTLE_MS = 10;
/** So much may be spent before the end of the turn is waited for, which costs more than to count. */
const COUNTED_MS = 1;
/** Of servers that flood, and then it is another one's turn. */
const SLOW_TURN_MS = 10;
/** A slow turn may take longer than it should: the others' pause after it is so many times as long. */
const REST = 4;

let spentMs = 0;
let isEndDue = false;
const waiting: (() => void)[] = [];
const slow: (() => void)[] = [];
let timer: NodeJS.Timeout | undefined;

/** Whether so many bytes may be read in this turn still. */
export const mayRead = (bytes: number): boolean =>
  spentMs < TURN_MS || (bytes <= LITTLE_BYTES && spentMs < LITTLE_MS);

/** Takes note of what reading took. */
export function spendTurn(ms: number): void {
  spentMs += ms;
  if (spentMs >= COUNTED_MS) awaitEnd();
}

/** Calls back in one of the next turns, in the order of the callers. */
export function inNextTurn(act: () => void): void {
  waiting.push(act);
  awaitEnd();
}

/** As `inNextTurn`, for those that flood: one after the other, all of them together as little as one alone. */
export function inSlowTurn(act: () => void): void {
  slow.push(act);
  timer ??= setTimeout(takeSlowTurn, SLOW_TURN_MS);
}

function awaitEnd(): void {
  if (isEndDue) return;
  isEndDue = true;
  setImmediate(beginTurn);
}

function beginTurn(): void {
  isEndDue = false;
  spentMs = 0;
  // Once each: who is not done stands at the end of the queue again.
  let left = waiting.length;
  while (left > 0 && mayRead(Infinity)) {
    left -= 1;
    waiting.shift()!();
  }
  if (waiting.length > 0) awaitEnd();
}

function takeSlowTurn(): void {
  const begun = performance.now();
  timer = undefined;
  try {
    slow.shift()!();
  } finally {
    const restMs = Math.max(SLOW_TURN_MS, REST * (performance.now() - begun));
    if (slow.length > 0) {
      clearTimeout(timer);
      timer = setTimeout(takeSlowTurn, restMs);
    }
  }
}
