import { setTimeout as wait } from "node:timers/promises";

const EVERY_MS = 2_000;
/** The cursor at the top left, and what was below it gone. */
const CLEAR = "\u001b[H\u001b[2J";

/** Shows again and again, until Ctrl-C or an error: in place on a terminal, one after the other elsewhere. */
export async function watch(show: () => Promise<void>, isJson: boolean): Promise<never> {
  const isInPlace = process.stdout.isTTY && !isJson;
  for (;;) {
    if (isInPlace) process.stdout.write(CLEAR);
    await show();
    await wait(EVERY_MS);
  }
}
