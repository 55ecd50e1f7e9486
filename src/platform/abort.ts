/** Calls `leave` once the signal aborts, at once where it has. Returns a function that forgets it. */
export function onAbort(signal: AbortSignal, leave: () => void): () => void {
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave, { once: true });
  return () => signal.removeEventListener("abort", leave);
}

/** Rejects with the signal's reason once it aborts; never resolves. */
export async function aborted(signal: AbortSignal): Promise<never> {
  return await new Promise((_resolve, reject) => {
    onAbort(signal, () => reject(signal.reason as Error));
  });
}

/** Resolves after that time; rejects with the signal's reason when it aborts first. */
export async function passed(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      forget();
      resolve();
    }, ms);
    const forget = onAbort(signal, () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });
}
