import type { Text } from "../mcp/long-text.ts";
import { locate, valueAt } from "../mcp/json-span.ts";
import type { Open } from "./in-flight.ts";

/** Whether the notification of progress tells the client more of its request than it was shown: a call that was sent again tells its progress from the beginning. */
export function isNewProgress(open: Open, raw: Text): boolean {
  const span = locate(raw, ["params", "progress"]);
  const progress = span && valueAt(raw, span);
  if (typeof progress !== "number") return true;
  if (open.sends > 1 && open.progress !== undefined && progress <= open.progress) return false;
  open.progress = progress;
  return true;
}
