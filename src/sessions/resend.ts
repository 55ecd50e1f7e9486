import type { ServerDef } from "../config/config.ts";
import type { Open } from "./in-flight.ts";
import type { SessionMemory } from "./session-memory.ts";

export type Resend = ServerDef["resend"];

/** How often a request is sent in all, however many generations die over it. */
export const MAX_SENDS = 3;

/** What a server can be asked twice without a difference. */
const READS = new Set([
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "prompts/get",
  "completion/complete",
  "logging/setLevel",
  "resources/subscribe",
  "resources/unsubscribe",
  "tasks/get",
  // 2026-07-28.
  "server/discover",
]);

/** Whether a request of this kind may be sent again though a child may have read it, by whatever else that hangs on. */
export const isRepeatable = (method: string, resend: Resend): boolean =>
  resend !== "never" && (READS.has(method) || (resend === "annotated" && method === "tools/call"));

/**
 * Whether the request is sent to the next generation, where the one that had it has ended. One of
 * which nothing was handed to a child always is.
 */
export function isSentAgain(
  { method, message, sends }: Pick<Open, "method" | "message" | "sends">,
  {
    wasHanded,
    resend,
    memory,
  }: { wasHanded: boolean; resend: Resend; memory?: Pick<SessionMemory, "isSafe"> },
): boolean {
  if (message === undefined || sends >= MAX_SENDS) return false;
  if (!wasHanded) return true;
  if (!isRepeatable(method, resend)) return false;
  return method !== "tools/call" || memory?.isSafe(message.tool) === true;
}
