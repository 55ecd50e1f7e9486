/** Signals a process, or with a negative number the group it leads. */
export function sendSignal(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch {
    // ESRCH: it ended between the look and the signal. EPERM: it changed its user; the next look tells.
  }
}
