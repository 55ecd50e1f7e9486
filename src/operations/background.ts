import { countEvents } from "../instances/count-events.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import { Notices } from "../notices/notices.ts";
import type { NoticesParts } from "../notices/notices.ts";
import type { Closers } from "../platform/closers.ts";
import { recordHistory } from "./record-history.ts";
import type { HistoryParts } from "./record-history.ts";
import { keepFresh } from "./keep-fresh.ts";
import type { KeepFreshParts } from "./keep-fresh.ts";
import { troubleFinder } from "./troubles.ts";
import type { TroubleParts } from "./troubles.ts";

type BackgroundParts = Omit<NoticesParts, "store" | "config"> &
  KeepFreshParts &
  TroubleParts & {
    supervisor: Supervisor;
    sessions: HistoryParts["sessions"];
    metrics: HistoryParts["metrics"];
    store: NoticesParts["store"] & HistoryParts["store"];
    config: NoticesParts["config"];
  };

/** From now on events are counted, tokens of providers kept fresh, each minute written down, and people told of what needs one; what outlived the last daemon is taken over. */
export function beginBackground(parts: BackgroundParts, closers: Closers): Notices {
  countEvents(parts.supervisor, parts.metrics);
  keepFresh(parts);
  parts.supervisor.takeOver().catch((err: unknown) => {
    parts.log.error({ err }, "what earlier daemons left running could not be taken over");
  });
  recordHistory(parts, closers);
  const notices = closers.opened(new Notices(parts));
  notices.start(troubleFinder(parts));
  return notices;
}
