import { setTimeout as delay } from "node:timers/promises";

const LOOK_MS = 10;

/** Resolves when it is, or after that time. Looks for as long, because nothing tells of its end that would be worth an event a call. */
export async function quiet(isQuiet: () => boolean, withinMs: number): Promise<void> {
  const latest = performance.now() + withinMs;
  while (!isQuiet() && performance.now() < latest) await delay(LOOK_MS);
}
