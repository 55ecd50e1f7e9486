import { setTimeout as wait } from "node:timers/promises";

const EVERY_MS = 2_000;
/** The cursor at the top left, and what was below it gone. */
const CLEAR = "\u001b[H\u001b[2J";

/**
 * Shows again and again, until Ctrl-C or an error: in place on a terminal, one after the other elsewhere.
 * `look` gives what draws what it saw, so that a screen stays until the next one is known.
 */
export async function watch(look: () => Promise<() => void>, isJson: boolean): Promise<never> {
  const isInPlace = process.stdout.isTTY && !isJson;
  for (;;) {
    const draw = await look();
    if (isInPlace) process.stdout.write(CLEAR);
    draw();
    await wait(EVERY_MS);
  }
}
