import { ownMessage } from "../mcp/client-body.ts";
import { leftText } from "../mcp/messages.ts";
import type { Unanswered } from "./in-flight.ts";
import type { Session } from "./session.ts";

/**
 * Nobody wants the answers to these requests any more (their ids, as JSON text): their servers are
 * told, which have heard it when `told` resolves. Gives those that were under way.
 */
export function cancelCalls(
  session: Pick<Session, "serving" | "told">,
  ids: readonly string[],
): { unanswered: readonly Unanswered[]; told: Promise<unknown> } {
  const { inFlight } = session.serving ?? {};
  const open = ids.filter((id) => inFlight?.find(id) !== undefined);
  // Where each went is known for as long as it is under way.
  const told = open.map((id) =>
    session.told(ownMessage(leftText(id), undefined, "notifications/cancelled")),
  );
  const unanswered = inFlight?.drainUnanswered(open) ?? [];
  return { unanswered, told: Promise.allSettled(told) };
}
