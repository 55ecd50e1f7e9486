import { randomUUID } from "node:crypto";
import type { ClientMessage } from "./client-body.ts";
import { valueAt } from "./json-span.ts";
import { META } from "./modern.ts";

/** MCP 2025-11-25, elicitation: the request cannot go on until the user has been to a URL. */
const URL_ELICITATION_REQUIRED = -32_042;
/** With the white space of whoever wants to read it. */
const MAX_WRITTEN_BYTES = 16 * 1024;

/** Where a client says what it can do: in its `initialize`, or in each request of 2026-07-28. */
const PLACES = [
  ["params", "capabilities"],
  ["params", "_meta", META.clientCapabilities],
] as const;

/** Whether the client has declared, in this message, that it can offer its user a URL to open. */
function declaresUrl(message: ClientMessage): boolean {
  return PLACES.some((place) => {
    const span = message.find(place);
    if (span === undefined || span.end - span.start > MAX_WRITTEN_BYTES) return false;
    const declared = valueAt(message.raw, span) as { elicitation?: { url?: unknown } } | null;
    return typeof (declared?.elicitation?.url ?? undefined) === "object";
  });
}

interface Elicitation {
  readonly code: number;
  readonly data: Readonly<Record<string, unknown>>;
}

/**
 * How a refusal that names a page for the user is told to a client that can offer it; undefined for any
 * other refusal and client. `said` is what may hold the client's capabilities.
 */
export function urlElicitation(
  { message, data }: { message: string; data: Readonly<Record<string, unknown>> | undefined },
  said: readonly (ClientMessage | undefined)[],
): Elicitation | undefined {
  const url = data?.["connectUrl"];
  if (url === undefined) return undefined;
  if (!said.some((one) => one !== undefined && declaresUrl(one))) return undefined;
  const elicitation = { mode: "url", elicitationId: randomUUID(), url, message };
  return { code: URL_ELICITATION_REQUIRED, data: { elicitations: [elicitation] } };
}
