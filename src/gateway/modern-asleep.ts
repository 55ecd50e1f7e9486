import type { ClientMessage } from "../mcp/client-body.ts";
import { META, MODERN_VERSIONS } from "../mcp/modern.ts";
import type { Instance } from "../instances/supervisor.ts";
import type { ModernReading } from "../mcp/modern.ts";
import { asksToShow } from "../sessions/asleep.ts";
import type { ModernServing } from "../sessions/modern-server.ts";
import { answerAtOnce } from "./http-answer.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";

type Says = Extract<ModernReading, { kind: "request" }>;

/** Answers a request of 2026-07-28 to a stdio child that sleeps, where it is known what that would say. False where it is not. */
export function answerModernAsleep(
  context: FrontContext,
  request: RequestContext,
  says: Says,
  message: ClientMessage,
): boolean {
  if (request.server.kind === "builtin" || !asksToShow(message)) return false;
  const { showings } = context.sessions;
  const instance = context.sessions.modernOf(request.instance.ref);
  const shown = showings.modernAsleep(instance, message, says);
  if (shown !== undefined) answerAtOnce(context, request, shown);
  return shown !== undefined;
}

/** The child has a request of 2026-07-28: it is asked what it shows to whoever says the same. */
export function modernIsAwake(
  { sessions }: FrontContext,
  serving: ModernServing & { readonly instance: Instance },
  says: Says,
  message: ClientMessage,
): void {
  // The gateway itself speaks the first one.
  if (!asksToShow(message) || says.version !== MODERN_VERSIONS[0]) return;
  const capabilities = says.params._meta?.[META.clientCapabilities];
  const ask = (method: string, params: string) => serving.hub.ask(method, params, capabilities);
  sessions.showings.modernAwake(serving, ask, says);
}
