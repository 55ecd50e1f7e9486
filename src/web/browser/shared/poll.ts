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
  let doneAt = -Infinity;
  const again = (): void => {
    if (signal.aborted || document.hidden || isUnderWay) return;
    clearTimeout(timer);
    const left = doneAt + EVERY_MS - performance.now();
    if (left > 0) timer = setTimeout(again, left);
    else void once();
  };
  const once = async (): Promise<void> => {
    isUnderWay = true;
    try {
      await work();
    } finally {
      isUnderWay = false;
      doneAt = performance.now();
      again();
    }
  };
  document.addEventListener("visibilitychange", again, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  again();
  return () => {
    doneAt = -Infinity;
    again();
  };
}

/** Draws what is loaded, every five seconds, where it differs from what stands there or stands below a failure. As `poll`. */
export function live<T>(
  load: () => Promise<T>,
  draw: (value: T) => void,
  { signal, onFailure }: { signal: AbortSignal; onFailure: (error: unknown) => void },
): () => void {
  let shown: string | undefined;
  return poll(async () => {
    try {
      const value = await load();
      const text = JSON.stringify(value);
      if (signal.aborted || text === shown) return;
      draw(value);
      shown = text;
    } catch (error) {
      shown = undefined;
      if (!signal.aborted) onFailure(error);
    }
  }, signal);
}
