import { ownMessage } from "../mcp/client-body.ts";
import { leftText } from "../mcp/messages.ts";
import type { Front } from "./front.ts";
import type { Session } from "./session.ts";
import { clientGone } from "./session-errors.ts";

/**
 * Nobody wants the answers to these requests any more (their ids, as JSON text). Resolves when their
 * servers have heard it, and who comes back yet will.
 */
export async function cancelCalls(
  session: Pick<Session, "serving" | "told" | "instance">,
  front: Pick<Front, "interrupt">,
  ids: readonly string[],
): Promise<void> {
  const { inFlight } = session.serving ?? {};
  const open = ids.filter((id) => inFlight?.find(id) !== undefined);
  // Where each went is known for as long as it is under way.
  const told = open.map((id) =>
    session.told(ownMessage(leftText(id), undefined, "notifications/cancelled")),
  );
  const unanswered = inFlight?.drainUnanswered(open) ?? [];
  await front.interrupt(unanswered)?.(clientGone(session.instance.ref));
  await Promise.allSettled(told);
}
