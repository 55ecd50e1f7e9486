import { sentenceFor } from "./frame.ts";
import type { Language } from "./texts.ts";

/** No page asks more often. */
const EVERY_MS = 5_000;

/**
 * Does the work now, and again every five seconds after it was done, while somebody can see the page;
 * until the signal. The work tells of its own failures. What is returned does it at once, for whoever
 * has just changed something.
 */
export function poll(work: () => Promise<void>, signal: AbortSignal): () => void {
  let timer: number | undefined;
  let isUnderWay = false;
  let dueAt = 0;
  const again = (): void => {
    if (signal.aborted || document.hidden || isUnderWay) return;
    clearTimeout(timer);
    const left = dueAt - performance.now();
    if (left > 0) timer = setTimeout(again, left);
    else void once();
  };
  const once = async (): Promise<void> => {
    isUnderWay = true;
    dueAt = Infinity;
    try {
      await work();
    } finally {
      isUnderWay = false;
      // Something may have been changed after the work had looked.
      dueAt = Math.min(dueAt, performance.now() + EVERY_MS);
      again();
    }
  };
  document.addEventListener("visibilitychange", again, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  again();
  return () => {
    dueAt = 0;
    again();
  };
}

/**
 * Draws what is loaded, every five seconds, where it differs from what stands there or stands below a
 * failure; a line says why there is nothing new. As `poll`.
 */
export function watch<T>(
  { language, signal }: { readonly language: Language; readonly signal: AbortSignal },
  failure: HTMLElement,
  load: () => Promise<T>,
  draw: (value: T) => void,
): () => void {
  let shown: string | undefined;
  return poll(async () => {
    try {
      const value = await load();
      const text = JSON.stringify(value);
      if (signal.aborted || text === shown) return;
      failure.textContent = "";
      draw(value);
      shown = text;
    } catch (error) {
      shown = undefined;
      if (!signal.aborted) failure.textContent = sentenceFor(error, language);
    }
  }, signal);
}
