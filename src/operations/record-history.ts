import { memoryOf } from "../instances/memory.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import { DAY_MS, MINUTE_MS } from "../platform/durations.ts";
import type { Closers } from "../platform/closers.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { HistoryRow, Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** A week, and what is needed to look at a whole one. */
const KEPT_MS = 8 * DAY_MS;

export interface HistoryParts {
  store: Pick<Store, "history">;
  supervisor: Pick<Supervisor, "counts" | "status">;
  sessions: Pick<Sessions, "count">;
  metrics: Pick<Metrics, "callTimes">;
  log: Logger;
}

async function rowOf(
  { supervisor, sessions, metrics }: HistoryParts,
  at: number,
): Promise<HistoryRow> {
  const sizes = await supervisor.status();
  const counts = supervisor.counts();
  return {
    at,
    stopped: counts.stopped ?? 0,
    starting: counts.starting ?? 0,
    ready: counts.ready ?? 0,
    draining: counts.draining ?? 0,
    backingOff: counts["backing-off"] ?? 0,
    parked: counts.parked ?? 0,
    memoryBytes: memoryOf(sizes),
    sessions: sessions.count,
    ...metrics.callTimes.take(),
  };
}

/** From now on each minute leaves a row. What cannot be written is told, and the next minute is tried. */
export function recordHistory(parts: HistoryParts, closers: Closers): void {
  const closing = new AbortController();
  let timer: NodeJS.Timeout;
  const record = async (): Promise<void> => {
    try {
      const at = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - MINUTE_MS;
      const row = await rowOf(parts, at);
      if (!closing.signal.aborted) parts.store.history.add(row, at - KEPT_MS);
    } catch (err) {
      parts.log.warn({ err }, "the history of this minute cannot be written");
    }
  };
  const turn = (): void => {
    if (closing.signal.aborted) return;
    // The minute that is over, once it is.
    timer = setTimeout(() => void record().then(turn), MINUTE_MS - (Date.now() % MINUTE_MS) + 10);
    timer.unref();
  };
  turn();
  closers.push(() => {
    closing.abort();
    clearTimeout(timer);
  });
}
