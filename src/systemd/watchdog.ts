/** How long the service manager waits for a sign of life, in ms (sd_watchdog_enabled(3)); undefined where it does not wait for this process. Takes the variables out of `env`. */
export function takeWatchdogMs(env: NodeJS.ProcessEnv, pid = process.pid): number | undefined {
  const { WATCHDOG_USEC: micros, WATCHDOG_PID: forPid } = env;
  delete env["WATCHDOG_USEC"];
  delete env["WATCHDOG_PID"];
  if (!/^[1-9]\d*$/.test(micros ?? "") || (forPid !== undefined && forPid !== String(pid)))
    return undefined;
  return Number(micros) / 1000;
}

export interface WatchdogOptions {
  /** The wait of the service manager. */
  limitMs: number;
  /** Whether the daemon does its work; asked with how long it may take to show it. */
  isHealthy: (withinMs: number) => Promise<boolean>;
  feed: () => void;
  /** Told each time that it is not fed. */
  onSick: (why: string) => void;
}

/**
 * Feeds the watchdog at half of its limit, as long as the event loop turns and the daemon is
 * healthy. A check that fails is made again soon, so that one bad moment is forgiven and a bad
 * stretch of the whole limit is not.
 */
export function startWatchdog({ limitMs, isHealthy, feed, onSick }: WatchdogOptions): {
  stop(): void;
} {
  const patienceMs = limitMs / 4;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  /** Why it must not be fed. */
  const sickness = async (dueAt: number): Promise<string | undefined> => {
    // A timer runs as soon as a blocked loop turns again; that it runs is no proof of health.
    const lateMs = performance.now() - dueAt;
    if (lateMs > patienceMs) return `the event loop stood still for ${Math.round(lateMs)} ms`;
    return (await isHealthy(patienceMs)) ? undefined : "the gateway did not answer itself in time";
  };
  const check = async (dueAt: number): Promise<void> => {
    const why = await sickness(dueAt);
    if (isStopped) return;
    if (why === undefined) feed();
    else onSick(why);
    plan(why === undefined ? limitMs / 2 : patienceMs / 2);
  };
  const plan = (delayMs: number): void => {
    const dueAt = performance.now() + delayMs;
    timer = setTimeout(() => void check(dueAt), delayMs);
    timer.unref();
  };
  plan(limitMs / 2);
  return {
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
